"""What Prometheus is told of the registry."""

from collections import Counter as Tally

from prometheus_client import Counter, Gauge

from .registry import Registry

INSTANCES = Gauge("discovery_instances", "Registered instances", ["app", "status"])
PRESERVED = Gauge(
    "discovery_preserved_instances", "Instances whose lease ran out and that are kept: too many did at once"
)
REGISTRATIONS = Counter("discovery_registrations", "Registrations taken, repeated ones as well", ["app"])
RENEWALS = Counter("discovery_renewals", "Renewals taken")
EVICTIONS = Counter("discovery_evictions", "Instances dropped because their lease ran out", ["app"])


def count_instances(registry: Registry) -> None:
    """Bring the gauges up to date."""
    tally = Tally(
        (app, instance.status) for app, instances in registry.applications().items() for instance in instances
    )
    INSTANCES.clear()
    for (app, status), number in tally.items():
        INSTANCES.labels(app, status).set(number)
    PRESERVED.set(len(registry.preserved))

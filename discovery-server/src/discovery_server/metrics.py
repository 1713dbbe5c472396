"""What Prometheus is told of the registry."""

from collections import Counter as Tally

from prometheus_client import Counter, Gauge

from .registry.registry import Registry

INSTANCES = Gauge("discovery_instances", "Registered instances", ["app", "status"])
PRESERVED = Gauge(
    "discovery_preserved_instances", "Instances whose lease ran out and that are kept: too many did at once", ["app"]
)
REGISTRATIONS = Counter("discovery_registrations", "Registrations taken, repeated ones as well", ["app"])
RENEWALS = Counter("discovery_renewals", "Renewals taken")
EVICTIONS = Counter(
    "discovery_evictions", "Instances dropped: their lease ran out, or they refused a probe", ["app", "reason"]
)
PROBES = Counter("discovery_probes", "Health checks of overdue instances, by what came of it", ["outcome"])
SNAPSHOTS = Counter("discovery_snapshots", "Snapshots written, failed, loaded and unreadable", ["outcome"])
REFUSALS = Counter("discovery_refusals", "Requests refused for their credential, by the answer's status", ["status"])
AUDIT_FAILURES = Counter("discovery_audit_failures", "Lines of the audit log that are not in its file")

STREAM_READERS = Gauge("discovery_stream_readers", "Readers that follow the registry's stream now")
READER_CUTS = Counter("discovery_reader_cuts", "Readers that were cut off, since they took nothing of their answer")

PEER_UP = Gauge("discovery_peer_up", "1 while another server answers", ["peer"])
PEER_AGREES = Gauge("discovery_peer_agrees", "1 while another server knows the same, as last compared", ["peer"])
PEER_PENDING = Gauge("discovery_peer_pending", "Changes and renewals that another server has not heard of", ["peer"])
PEER_LAG = Gauge("discovery_peer_lag_seconds", "Age of the oldest change another server has not heard of", ["peer"])
PEER_ROUND_TRIP = Gauge("discovery_peer_round_trip_seconds", "Time of the last answered call to a server", ["peer"])
PEER_STATES = Counter("discovery_peer_states", "States of instances sent to or taken from a server", ["peer", "way"])
PEER_FAILURES = Counter("discovery_peer_failures", "Calls to another server that came to nothing", ["peer"])


def count_instances(registry: Registry) -> None:
    """Bring the gauges up to date."""
    tally = Tally(
        (app, instance.status) for app, instances in registry.applications().items() for instance in instances
    )
    INSTANCES.clear()
    for (app, status), number in tally.items():
        INSTANCES.labels(app, status).set(number)
    PRESERVED.clear()
    for app, number in Tally(app for app, _ in registry.kept).items():
        PRESERVED.labels(app).set(number)

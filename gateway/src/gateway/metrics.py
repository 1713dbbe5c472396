"""What the gateway counts; the children are looked up once and kept, which is most of a counter's cost."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("gateway_requests", "Requests, by what became of them", ["route", "method", "status"])
DURATION = Histogram(
    "gateway_request_duration_seconds",
    "Time from the head of a request to the last byte of its response",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
UPSTREAM_FAILURES = Counter("gateway_upstream_failures", "Calls of instances that failed", ["service", "reason"])
RETRIES = Counter("gateway_retries", "Requests that were tried again at another instance", ["service"])
INSTANCES = Gauge("gateway_instances", "Instances that a service has in discovery", ["service"])
BREAKER_OPEN = Gauge("gateway_breaker_open", "1 while an instance is left alone because it fails", ["instance"])

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_requests: dict[tuple[str, str, int], Counter] = {}
_durations: dict[str, Histogram] = {}


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one finished request. Methods that nobody defined share a label, so that clients can't make new ones."""
    key = (route, method, status)
    counter = _requests.get(key)
    if counter is None:
        counter = REQUESTS.labels(route, method if method in _METHODS else "OTHER", str(status))
        if method in _METHODS:
            _requests[key] = counter
    counter.inc()
    duration = _durations.get(route)
    if duration is None:
        duration = _durations[route] = DURATION.labels(route)
    duration.observe(seconds)

"""The metrics of HTTP requests, by the names that prometheus-fastapi-instrumentator gives them.

They are made here, and not by the instrumentator, so that they can be counted where no FastAPI is passed through.
"""

from functools import lru_cache

from prometheus_client import Counter, Histogram, Summary
from prometheus_fastapi_instrumentator.metrics import Info

_REQUESTS = Counter(
    "http_requests", "Total number of requests by method, status and handler.", ["method", "status", "handler"]
)
_REQUEST_SIZES = Summary("http_request_size_bytes", "Content length of incoming requests by handler.", ["handler"])
_RESPONSE_SIZES = Summary("http_response_size_bytes", "Content length of outgoing responses by handler.", ["handler"])
_LATENCIES = Histogram(
    "http_request_duration_highr_seconds",
    "Latency with many buckets but no API specific labels.",
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60),
)
_LATENCIES_BY_HANDLER = Histogram(
    "http_request_duration_seconds",
    "Latency with only few buckets by handler.",
    ["method", "handler"],
    buckets=(0.1, 0.5, 1),
)


def count_request(
    method: str, handler: str, status: str, seconds: float, *, request_bytes: int, response_bytes: int
) -> None:
    """`handler`: the route's template, of which there are few; `status`: `2xx` ... `5xx`; sizes as the headers say."""
    requests, request_sizes, response_sizes, latencies = _series(method, handler, status)
    requests.inc()
    request_sizes.observe(request_bytes)
    response_sizes.observe(response_bytes)
    _LATENCIES.observe(seconds)
    latencies.observe(seconds)


def count_instrumented(info: Info) -> None:
    """What the instrumentator calls for each request that it saw."""
    count_request(
        info.method,
        info.modified_handler,
        info.modified_status,
        info.modified_duration,
        request_bytes=int(info.request.headers.get("content-length", 0)),
        response_bytes=int(info.response.headers.get("content-length", 0)) if info.response is not None else 0,
    )


@lru_cache(maxsize=1024)
def _series(method: str, handler: str, status: str) -> tuple[Counter, Summary, Summary, Histogram]:
    """Kept: finding a series by its labels takes longer than adding to it."""
    return (
        _REQUESTS.labels(method, status, handler),
        _REQUEST_SIZES.labels(handler),
        _RESPONSE_SIZES.labels(handler),
        _LATENCIES_BY_HANDLER.labels(method, handler),
    )

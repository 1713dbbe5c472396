"""What is counted of orders."""

from prometheus_client import Counter, Histogram

PLACED = Counter("orders_placed", "Orders taken")
FINISHED = Counter("orders_finished", "Orders confirmed or cancelled", ["status", "reason"])
COMPLETION_SECONDS = Histogram(
    "order_completion_seconds",
    "Time from placed to confirmed or cancelled",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)


def count_finished(status: str, reason: str | None, seconds: float) -> None:
    """One more order that was confirmed or cancelled, so long after it was placed."""
    FINISHED.labels(status, reason or "").inc()
    COMPLETION_SECONDS.observe(seconds)

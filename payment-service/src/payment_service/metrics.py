"""What is counted of payments."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from .provider import ProviderUnavailable, RefundRefused

PAYMENTS = Counter("payments", "Payments by the state that they came to", ["status"])
PROVIDER_CALL_SECONDS = Histogram(
    "provider_call_seconds",
    "Time of a call to the payment provider",
    ["call", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@dataclass(slots=True)
class ProviderCall:
    """A call that is being timed; whoever makes it says how it ended, unless it raises."""

    outcome: str = "error"  # what an exception that nobody expected leaves


@contextmanager
def provider_call(name: str) -> Iterator[ProviderCall]:
    """Time the block as one call to the provider."""
    call = ProviderCall()
    started = time.monotonic()
    try:
        yield call
    except ProviderUnavailable:
        call.outcome = "unavailable"
        raise
    except RefundRefused:
        call.outcome = "refused"
        raise
    finally:
        PROVIDER_CALL_SECONDS.labels(name, call.outcome).observe(time.monotonic() - started)

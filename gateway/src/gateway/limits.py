"""How much each caller may ask: a token bucket for each, in memory.

By hand, as the `limits` package has windows only: after a burst, a window refuses everything until it has moved on,
where a bucket goes on letting its steady rate through; and its memory store keeps a thread of its own.
"""

import math
import time
from collections.abc import Callable, Hashable

from .errors import TooManyRequests
from .settings import Settings

_SWEEP_EVERY = 10_000  # looks, between two rounds of forgetting the callers whose buckets are full again


class RateLimiter:
    """Token buckets as GCRA has them: all that is kept of a caller is the moment when its bucket will be full."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}
        self._looks = 0

    def take(self, caller: Hashable, *, share: int = 1) -> None:
        """Take one token from the caller's bucket. Raises TooManyRequests, with Retry-After, when it is empty.

        `share`: how many callers the bucket is for; it holds that many times as much.
        """
        rate = self._settings.rate_per_second * share
        if not rate:
            return
        now = self._clock()
        burst = self._settings.rate_burst * share
        full_at = max(self._full_at.get(caller, now), now) + 1 / rate
        if full_at - now > burst / rate + 1e-9:
            raise _refusal(rate, burst, full_at - now - burst / rate)
        self._full_at[caller] = full_at
        self._looks += 1
        if self._looks >= _SWEEP_EVERY:
            self._looks = 0
            self._full_at = {known: moment for known, moment in self._full_at.items() if moment > now}

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._full_at)


def _refusal(rate: float, burst: int, wait_seconds: float) -> TooManyRequests:
    seconds = max(1, math.ceil(wait_seconds))
    window = max(1, round(burst / rate))
    return TooManyRequests(
        f"You may make {rate:g} requests a second, and {burst} at once after a rest; go on in {seconds} s.",
        headers={
            "Retry-After": str(seconds),
            # draft-ietf-httpapi-ratelimit-headers: what is allowed, what is left, and in how many seconds more.
            "RateLimit-Policy": f'"default";q={burst};w={window}',
            "RateLimit": f'"default";r=0;t={seconds}',
        },
    )

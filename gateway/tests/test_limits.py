"""How much one caller may ask."""

import pytest

from gateway.errors import TooManyRequests
from gateway.limits import RateLimiter
from gateway.settings import Settings


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limiter: RateLimiter, times: int, caller: str = "somebody") -> int:
    """How many of so many requests pass."""
    passed = 0
    for _ in range(times):
        try:
            limiter.take(caller)
        except TooManyRequests:
            continue
        passed += 1
    return passed


def test_a_rested_caller_may_burst_and_then_keeps_its_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(Settings(rate_per_second=50, rate_burst=200), clock)

    at_once = taken(limiter, 300)
    clock.now += 1
    a_second_later = taken(limiter, 300)
    clock.now += 100
    after_a_rest = taken(limiter, 300)

    assert (at_once, a_second_later, after_a_rest) == (200, 50, 200)


def test_callers_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(Settings(rate_per_second=1, rate_burst=2), Clock())

    assert [taken(limiter, 5, caller) for caller in ("one", "another")] == [2, 2]


def test_a_bucket_for_many_holds_as_much_as_theirs_together() -> None:
    clock = Clock()
    limiter = RateLimiter(Settings(rate_per_second=1, rate_burst=2), clock)

    def taken_for_four() -> int:
        return sum(1 for _ in range(20) if not _is_refused(limiter))

    assert taken_for_four() == 8
    clock.now += 1
    assert taken_for_four() == 4


def _is_refused(limiter: RateLimiter) -> bool:
    try:
        limiter.take("an address", share=4)
    except TooManyRequests:
        return True
    return False


def test_a_refusal_says_when_to_come_back() -> None:
    limiter = RateLimiter(Settings(rate_per_second=0.5, rate_burst=2), Clock())
    taken(limiter, 2)

    with pytest.raises(TooManyRequests) as refused:
        limiter.take("somebody")

    assert refused.value.headers == {
        "Retry-After": "2",
        "RateLimit-Policy": '"default";q=2;w=4',
        "RateLimit": '"default";r=0;t=2',
    }


def test_a_rate_of_zero_sets_no_limit() -> None:
    assert taken(RateLimiter(Settings(rate_per_second=0, rate_burst=1), Clock()), 1000) == 1000


def test_a_new_limit_holds_at_once() -> None:
    settings = Settings(rate_per_second=1, rate_burst=1)
    limiter = RateLimiter(settings, Clock())
    before = taken(limiter, 5)

    settings.rate_burst = 3

    assert (before, taken(limiter, 5)) == (1, 2)


def test_callers_who_rest_are_forgotten() -> None:
    clock = Clock()
    limiter = RateLimiter(Settings(rate_per_second=10, rate_burst=5), clock)
    for number in range(9_999):
        limiter.take(number)
    clock.now += 60

    limiter.take("the next")

    assert len(limiter) == 1

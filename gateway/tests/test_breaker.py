"""When an instance is left alone, and when it is tried again."""

from gateway.breaker import Breaker, RetryBudget
from gateway.settings import Settings

SETTINGS = Settings(breaker_failures=3, breaker_pause_seconds=1.0)


def broken() -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.failed(100.0)
    return breaker


class TestBreaker:
    def test_it_opens_after_so_many_failures_in_a_row(self) -> None:  # G5
        breaker = Breaker(SETTINGS)
        states = []

        for _ in range(3):
            breaker.failed(100.0)
            states.append(breaker.is_open)

        assert states == [False, False, True]

    def test_a_success_starts_the_count_anew(self) -> None:
        breaker = Breaker(SETTINGS)

        for _ in range(5):
            breaker.failed(100.0)
            breaker.failed(100.0)
            breaker.succeeded()

        assert not breaker.is_open

    def test_it_opens_at_once_where_nobody_listens(self) -> None:
        breaker = Breaker(SETTINGS)

        breaker.failed(100.0, nobody_there=True)

        assert breaker.is_open

    def test_after_its_pause_one_probe_goes_out_at_a_time(self) -> None:
        breaker = broken()

        early, due = breaker.awaits_probe(100.9), breaker.awaits_probe(101.0)
        breaker.begin_probe()

        assert (early, due, breaker.awaits_probe(101.0)) == (False, True, False)

    def test_a_good_probe_closes_it(self) -> None:
        breaker = broken()
        breaker.begin_probe()

        breaker.succeeded()

        assert not breaker.is_open

    def test_each_bad_probe_doubles_the_pause_up_to_half_a_minute(self) -> None:
        breaker = broken()
        now, pauses = 101.0, []

        for _ in range(6):
            breaker.begin_probe()
            breaker.failed(now)
            pause = next(s for s in range(1, 100) if breaker.awaits_probe(now + s))
            pauses.append(pause)
            now += pause

        assert pauses == [2, 4, 8, 16, 30, 30]

    def test_calls_that_were_out_when_it_opened_do_not_lengthen_the_pause(self) -> None:
        breaker = broken()

        for _ in range(20):
            breaker.failed(100.5)

        assert breaker.awaits_probe(101.0)

    def test_a_probe_without_an_outcome_makes_room_for_another(self) -> None:
        breaker = broken()
        breaker.begin_probe()

        breaker.end_probe()

        assert breaker.awaits_probe(101.0)


class TestRetryBudget:
    def test_retries_are_a_fifth_of_the_requests_in_the_long_run(self) -> None:  # G4
        budget, retries = RetryBudget(), 0

        for _ in range(1000):
            budget.earn()
            retries += budget.spend()

        assert 200 <= retries <= 211

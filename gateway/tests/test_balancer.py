"""Which instance a request goes to: shares by chance, less for the busy, few at first for who has just come up."""

import time
from collections import Counter

import pytest
from chassis.discovery import Instance

from gateway.balancer import Balancer
from gateway.routes import Target
from gateway.settings import Settings

TARGET = Target("a-service", None)
DRAWS = 3000


class KnownInstances:
    """Stands in for chassis' Registry."""

    def __init__(self) -> None:
        self.known: tuple[Instance, ...] = ()

    def add(self, port: int, *, up_for_seconds: float = 0.0, **metadata: str) -> None:
        told = {name.replace("_", "-"): value for name, value in metadata.items()}
        up_since_ms = round((time.time() - up_for_seconds) * 1000)
        self.known += (Instance("a-service", f"i{port}", "127.0.0.1", port, told, up_since_ms),)

    def remove(self, port: int) -> None:
        self.known = tuple(instance for instance in self.known if instance.port != port)

    def instances(self, _: str) -> tuple[Instance, ...]:
        return self.known


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def instances() -> KnownInstances:
    return KnownInstances()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def balancer(instances: KnownInstances, clock: Clock) -> Balancer:
    return Balancer(instances, Settings(), clock)  # type: ignore[arg-type]  # only `instances` is asked


def shares(balancer: Balancer) -> dict[int, float]:
    """The part of the requests that each port gets, when each has ended before the next begins."""
    counts: Counter[int] = Counter()
    for _ in range(DRAWS):
        backend = balancer.pick(TARGET)
        assert backend is not None
        counts[backend.origin[1]] += 1
    return {port: count / DRAWS for port, count in counts.items()}


class TestShares:
    def test_instances_that_are_alike_share_alike(self, balancer: Balancer, instances: KnownInstances) -> None:
        for port in (1, 2, 3):
            instances.add(port)

        found = shares(balancer)

        assert {port: pytest.approx(1 / 3, abs=0.05) for port in (1, 2, 3)} == found

    def test_the_less_busy_of_two_is_taken(self, balancer: Balancer, instances: KnownInstances) -> None:
        instances.add(1)
        instances.add(2)
        busy = balancer.pick(TARGET)
        assert busy is not None
        busy.in_flight = 1

        assert shares(balancer) == {3 - busy.origin[1]: 1.0}


class TestSlowStart:
    def test_who_has_just_come_up_gets_a_share_that_grows_to_the_whole(
        self, balancer: Balancer, instances: KnownInstances, clock: Clock
    ) -> None:
        instances.add(1, up_for_seconds=3600)
        instances.add(2, slow_start_seconds="60")

        found = {}
        for passed in (0, 30, 60):
            clock.seconds = 100.0 + passed
            found[passed] = shares(balancer)[2]

        # Half of the requests is a whole share; the tenth that it gets at first is a twentieth of them.
        assert found == {
            0: pytest.approx(0.05, abs=0.02),
            30: pytest.approx(0.25, abs=0.04),
            60: pytest.approx(0.5, abs=0.05),
        }

    def test_what_it_has_been_up_for_before_we_saw_it_counts(
        self, balancer: Balancer, instances: KnownInstances
    ) -> None:
        instances.add(1, up_for_seconds=3600)
        instances.add(2, up_for_seconds=30, slow_start_seconds="60")
        instances.add(3, up_for_seconds=61, slow_start_seconds="60")

        found = shares(balancer)

        assert found[2] == pytest.approx(found[1] * 0.4, abs=0.06)
        assert found[3] == pytest.approx(found[1], abs=0.06)

    def test_newcomers_alone_share_everything(self, balancer: Balancer, instances: KnownInstances) -> None:
        instances.add(1, slow_start_seconds="60")
        assert shares(balancer) == {1: 1.0}

        instances.add(2, slow_start_seconds="60")
        assert shares(balancer) == {1: pytest.approx(0.5, abs=0.05), 2: pytest.approx(0.5, abs=0.05)}

    def test_it_does_not_keep_a_request_from_the_only_one_left_to_try(
        self, balancer: Balancer, instances: KnownInstances
    ) -> None:
        instances.add(1)
        instances.add(2, slow_start_seconds="60")
        backends = {backend.origin[1]: backend for _ in range(DRAWS) if (backend := balancer.pick(TARGET)) is not None}

        for _ in range(100):
            assert balancer.pick(TARGET, tried=[backends[1]]) is backends[2]

    def test_who_leaves_and_comes_back_is_new_again(
        self, balancer: Balancer, instances: KnownInstances, clock: Clock
    ) -> None:
        instances.add(1)
        instances.add(2, slow_start_seconds="60")
        assert balancer.pick(TARGET) is not None
        clock.seconds += 60
        assert shares(balancer)[2] == pytest.approx(0.5, abs=0.05)

        instances.remove(2)
        assert shares(balancer) == {1: 1.0}
        instances.add(2, slow_start_seconds="60")

        assert shares(balancer)[2] == pytest.approx(0.05, abs=0.02)

    @pytest.mark.parametrize("seconds", ["", "soon", "-5", "0", "inf", "nan"])
    def test_what_is_no_number_of_seconds_asks_for_nothing(
        self, balancer: Balancer, instances: KnownInstances, seconds: str
    ) -> None:
        instances.add(1)
        instances.add(2, slow_start_seconds=seconds)

        assert shares(balancer)[2] == pytest.approx(0.5, abs=0.05)

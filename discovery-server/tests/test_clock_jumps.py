"""Clocks that are set, and a process that stands still: nobody is dropped for that, and nothing old wins."""

import pytest
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry

DAY_MS = 24 * 3_600_000
JUMPS_MS = [-400 * DAY_MS, -DAY_MS, -60_000, 60_000, DAY_MS, 400 * DAY_MS]


def keys(registry: Registry) -> set[str]:
    return {instance.key for instances in registry.applications().values() for instance in instances}


def pass_seconds(registry: Registry, time: FakeClock, seconds: int, *, renewing: tuple[str, ...] = ()) -> None:
    for second in range(1, seconds + 1):
        time.advance(1)
        if second % 5 == 0:
            for key in renewing:
                registry.renew("ORDERS", key, dirty_ms=1000)
        registry.sweep()


@pytest.mark.parametrize("jump_ms", JUMPS_MS)
class TestAWallClockThatIsSet:
    def test_drops_nobody_who_renews_and_keeps_nobody_who_does_not_d2(
        self, registry: Registry, time: FakeClock, jump_ms: int
    ) -> None:
        registry.register(an_instance(key="renews"))
        registry.register(an_instance(key="is-dead"))
        pass_seconds(registry, time, 5, renewing=("renews",))

        time.wall_jump_ms = jump_ms
        pass_seconds(registry, time, 10, renewing=("renews",))
        assert keys(registry) == {"renews", "is-dead"}
        pass_seconds(registry, time, 1)

        assert keys(registry) == {"renews"}

    def test_every_change_is_a_new_version_all_the_same(
        self, registry: Registry, time: FakeClock, jump_ms: int
    ) -> None:
        registry.register(an_instance())
        before = registry.version

        time.wall_jump_ms = jump_ms
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)

        assert registry.version > before

    def test_what_is_done_after_it_wins_over_what_was_done_before_d4(
        self, registry: Registry, time: FakeClock, jump_ms: int
    ) -> None:
        peer = Registry(time.clock)
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
        peer.merge(registry.states())
        time.wall_jump_ms = jump_ms

        peer.remove_override("ORDERS", "o1", Status.UP)
        registry.merge(peer.states())
        assert registry.instance("ORDERS", "o1").status is Status.UP

        registry.cancel("ORDERS", "o1")
        peer.merge(registry.states())
        assert keys(peer) == set()

        peer.register(an_instance())
        registry.merge(peer.states())
        assert keys(registry) == {"o1"}

    def test_deltas_forget_by_the_steady_clock(self, registry: Registry, time: FakeClock, jump_ms: int) -> None:
        registry.register(an_instance())
        time.wall_jump_ms = jump_ms
        pass_seconds(registry, time, 179, renewing=("o1",))
        assert registry.changes() != {}

        pass_seconds(registry, time, 2, renewing=())

        assert registry.changes() == {}


class TestAServerThatStoodStill:
    @pytest.mark.parametrize("stall_seconds", [6, 60, 3600, 100_000])
    def test_waits_for_as_long_as_a_renewal_can_take(
        self, registry: Registry, time: FakeClock, stall_seconds: int
    ) -> None:
        registry.register(an_instance(key="renews"))
        registry.register(an_instance(key="is-dead"))
        registry.sweep()

        time.advance(stall_seconds + 10)
        registry.sweep()
        pass_seconds(registry, time, 7, renewing=("renews",))
        assert keys(registry) == {"renews", "is-dead"}
        pass_seconds(registry, time, 1)

        assert keys(registry) == {"renews"}

    def test_standing_still_again_and_again_drops_nobody_either(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance())
        for _ in range(20):
            time.advance(20)
            registry.sweep()
            pass_seconds(registry, time, 3)

        assert keys(registry) == {"o1"}

    def test_who_was_kept_is_not_dropped_by_it(self, registry: Registry, time: FakeClock) -> None:
        for number in range(12):
            registry.register(an_instance(key=f"o{number}"))
        alive = tuple(f"o{number}" for number in range(5))
        pass_seconds(registry, time, 17, renewing=alive)
        assert len(registry.kept) == 7

        time.advance(30)
        registry.sweep()
        pass_seconds(registry, time, 5, renewing=alive)

        assert len(keys(registry)) == 12


def test_a_client_whose_clock_was_set_back_registers_anew(registry: Registry) -> None:
    registry.register(an_instance(last_dirty_ms=2_000_000))

    registry.register(an_instance(last_dirty_ms=1_000))

    with pytest.raises(NoSuchInstance):
        registry.renew("ORDERS", "o1", dirty_ms=2_000_001)
    assert registry.renew("ORDERS", "o1", dirty_ms=1_000).key == "o1"

"""The leases, on a clock of the test's own."""

from collections.abc import Callable

import pytest
from support.clock import WALL_AT_START_MS, FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Action, Instance, Status
from discovery_server.registry.leases import hash_code
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry


def pass_seconds(
    registry: Registry, time: FakeClock, seconds: float, *, renewing: Callable[[], None] | None = None
) -> None:
    """Let time go by, with a sweep each second, as the server does it."""
    for _ in range(round(seconds)):
        time.advance(1)
        if renewing:
            renewing()
        registry.sweep()


def keys(instances: list[Instance]) -> set[str]:
    return {instance.key for instance in instances}


class TestRegister:
    def test_an_instance_is_stamped_by_the_server(self, registry: Registry, time: FakeClock) -> None:
        registered = registry.register(an_instance())

        assert registered.lease.registered_ms == registered.lease.renewed_ms == WALL_AT_START_MS
        assert registered.lease.up_since_ms == registered.last_updated_ms == WALL_AT_START_MS
        assert registered.last_dirty_ms == 1000
        assert registered.action is Action.ADDED

    def test_an_instance_without_a_dirty_stamp_gets_the_servers(self, registry: Registry) -> None:
        assert registry.register(an_instance(last_dirty_ms=None)).last_dirty_ms == WALL_AT_START_MS

    def test_the_one_that_changed_later_stays(self, registry: Registry) -> None:
        registry.register(an_instance(host_name="new", last_dirty_ms=5))
        registry.register(an_instance(host_name="old", last_dirty_ms=4))

        assert registry.instance("ORDERS", "o1").host_name == "new"

    def test_the_same_dirty_stamp_replaces(self, registry: Registry) -> None:
        registry.register(an_instance(host_name="first"))
        registry.register(an_instance(host_name="second"))

        assert registry.instance("ORDERS", "o1").host_name == "second"

    def test_an_older_registration_still_renews_the_lease(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance(last_dirty_ms=5))
        pass_seconds(registry, time, 14)
        registry.register(an_instance(last_dirty_ms=4))
        pass_seconds(registry, time, 14)

        assert keys(registry.application("ORDERS")) == {"o1"}

    def test_since_when_it_is_up_outlives_a_second_registration(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance(status=Status.STARTING))
        assert registry.instance("ORDERS", "o1").lease.up_since_ms == 0
        time.advance(1)
        registry.register(an_instance())
        time.advance(1)
        registry.register(an_instance())

        assert registry.instance("ORDERS", "o1").lease.up_since_ms == WALL_AT_START_MS + 1000

    def test_without_an_id_the_host_name_is_the_id(self, registry: Registry) -> None:
        registry.register(an_instance(key=""))

        assert registry.instance("ORDERS", "h.test").instance_id == ""

    @pytest.mark.parametrize("said", [Status.DOWN, Status.STARTING, Status.UNKNOWN])
    def test_one_that_says_it_is_not_ready_is_believed(self, registry: Registry, said: Status) -> None:
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)

        assert registry.register(an_instance(status=said)).status is said

    def test_one_that_took_itself_out_of_service_does_not_come_back_by_registering(self, registry: Registry) -> None:
        registry.register(an_instance(status=Status.OUT_OF_SERVICE))

        assert registry.register(an_instance()).status is Status.OUT_OF_SERVICE

    def test_an_override_that_a_registration_brings_along_holds(self, registry: Registry) -> None:
        registered = registry.register(an_instance(overridden_status=Status.OUT_OF_SERVICE))

        assert registered.status is registered.overridden_status is Status.OUT_OF_SERVICE


class TestRenew:
    def test_a_renewal_prolongs_the_lease(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance(duration=15))
        pass_seconds(registry, time, 14)
        registry.renew("orders", "o1")
        pass_seconds(registry, time, 14)

        assert registry.instance("ORDERS", "o1").lease.renewed_ms == WALL_AT_START_MS + 14_000

    def test_a_renewal_is_no_change_that_readers_have_to_fetch(self, registry: Registry) -> None:
        registry.register(an_instance())
        before = registry.version
        registry.renew("ORDERS", "o1")

        assert registry.version == before

    @pytest.mark.parametrize(("app", "key"), [("ORDERS", "o2"), ("NOPE", "o1"), ("ORDERS", "O1")])
    def test_an_unknown_one_has_to_register(self, registry: Registry, app: str, key: str) -> None:
        registry.register(an_instance())

        with pytest.raises(NoSuchInstance):
            registry.renew(app, key)

    def test_one_that_has_changed_since_has_to_register(self, registry: Registry) -> None:
        registry.register(an_instance(last_dirty_ms=5))

        with pytest.raises(NoSuchInstance):
            registry.renew("ORDERS", "o1", dirty_ms=6)
        assert (
            registry.renew("ORDERS", "o1", dirty_ms=5).dirty_ms == registry.renew("ORDERS", "o1", dirty_ms=4).dirty_ms
        )


class TestOverrideStatus:
    def test_d4_an_override_outlives_registrations_and_renewals(self, registry: Registry) -> None:
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)

        registry.renew("ORDERS", "o1")
        registry.register(an_instance(last_dirty_ms=2000))
        registry.register(an_instance(status=Status.DOWN, last_dirty_ms=3000))
        registry.register(an_instance(last_dirty_ms=4000))

        found = registry.instance("ORDERS", "o1")
        assert found.status is found.overridden_status is Status.OUT_OF_SERVICE

    def test_after_it_is_removed_the_client_is_told_to_register_and_is_up(self, registry: Registry) -> None:
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
        registry.remove_override("ORDERS", "o1", Status.UNKNOWN)

        with pytest.raises(NoSuchInstance):
            registry.renew("ORDERS", "o1")
        assert registry.register(an_instance()).status is Status.UP

    def test_removing_what_is_not_there_changes_nothing(self, registry: Registry) -> None:
        registry.register(an_instance())
        before = registry.version
        registry.remove_override("ORDERS", "o1", Status.DOWN)

        assert registry.instance("ORDERS", "o1").status is Status.UP
        assert registry.version == before

    def test_an_instance_that_leaves_takes_its_override_along(self, registry: Registry) -> None:
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
        registry.cancel("ORDERS", "o1")

        assert registry.register(an_instance()).status is Status.UP

    def test_overrides_of_two_applications_with_the_same_id_are_apart(self, registry: Registry) -> None:
        registry.register(an_instance("A", "same"))
        registry.register(an_instance("B", "same"))
        registry.override_status("A", "same", Status.OUT_OF_SERVICE)

        assert registry.register(an_instance("B", "same")).status is Status.UP

    def test_the_later_dirty_stamp_is_kept(self, registry: Registry) -> None:
        registry.register(an_instance(last_dirty_ms=5))
        registry.override_status("ORDERS", "o1", Status.DOWN, dirty_ms=9)

        assert registry.instance("ORDERS", "o1").dirty_ms == 9


class TestChangeMetadata:
    def test_entries_are_set_and_the_others_stay(self, registry: Registry) -> None:
        registry.register(an_instance(metadata={"zone": "z1", "color": "red"}))
        registry.change_metadata("orders", "o1", {"color": "blue"})

        assert registry.instance("ORDERS", "o1").metadata == {"zone": "z1", "color": "blue"}


class TestSweep:
    def test_d2_what_does_not_renew_is_gone_after_one_lease_and_a_sweep(
        self, registry: Registry, time: FakeClock
    ) -> None:
        registry.register(an_instance(duration=15))

        pass_seconds(registry, time, 15)
        assert keys(registry.application("ORDERS")) == {"o1"}
        pass_seconds(registry, time, 1)
        assert registry.applications() == {}

    def test_what_is_evicted_is_told_and_stands_in_the_delta(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance(duration=3))
        time.advance(3.5)

        assert keys(list(registry.sweep().evicted)) == {"o1"}
        (gone,) = registry.changes()["ORDERS"]
        assert gone.action is Action.DELETED
        assert gone.lease.evicted_ms == WALL_AT_START_MS + 3500

    def test_d3_one_application_that_dies_is_evicted_however_large_it_is(
        self, registry: Registry, time: FakeClock
    ) -> None:
        for number in range(16):
            registry.register(an_instance("BIG", f"b{number}"))
        for number in range(4):
            registry.register(an_instance("SMALL", f"s{number}"))

        pass_seconds(registry, time, 16, renewing=lambda: renew(registry, "SMALL"))

        assert set(registry.applications()) == {"SMALL"}

    def test_d3_when_a_majority_falls_silent_at_once_all_are_kept(self, registry: Registry, time: FakeClock) -> None:
        for app in ("A", "B", "C", "D"):
            for number in range(5):
                registry.register(an_instance(app, f"{app}{number}"))
        # The last renewals lie a few seconds apart, as they do in life.
        for number in range(5):
            renew(registry, "A", "B", "C", "D", only=str(number))
            pass_seconds(registry, time, 1)

        def three_of_five() -> None:
            for number in ("0", "1"):
                renew(registry, "A", "B", "C", "D", only=number)

        pass_seconds(registry, time, 120, renewing=three_of_five)

        assert sum(map(len, registry.applications().values())) == 20
        assert len(registry.preserved) == 12

    def test_when_the_silent_are_back_what_dies_is_evicted_again(self, registry: Registry, time: FakeClock) -> None:
        for number in range(20):
            registry.register(an_instance("AB"[number % 2], f"i{number}"))
        pass_seconds(registry, time, 30)
        assert len(registry.preserved) == 20

        pass_seconds(registry, time, 2, renewing=lambda: renew(registry, "A", "B"))
        assert registry.preserved == ()
        pass_seconds(registry, time, 20, renewing=lambda: renew(registry, "A"))
        assert set(registry.applications()) == {"A"}

    def test_a_small_registry_preserves_nothing(self, registry: Registry, time: FakeClock) -> None:
        for number in range(9):
            registry.register(an_instance("AB"[number % 2], f"i{number}"))
        pass_seconds(registry, time, 16)

        assert registry.applications() == {}

    def test_nothing_is_preserved_when_it_is_switched_off(self, time: FakeClock) -> None:
        registry = Registry(time.clock, preservation=PreservationRules(enabled=False))
        for number in range(20):
            registry.register(an_instance("AB"[number % 2], f"i{number}"))
        pass_seconds(registry, time, 16)

        assert registry.applications() == {}

    def test_after_a_stall_heartbeats_get_their_turn_before_anybody_is_evicted(
        self, registry: Registry, time: FakeClock
    ) -> None:
        registry.register(an_instance("A", "renews"))
        registry.register(an_instance("A", "is-dead"))
        registry.sweep()

        time.advance(60)
        assert registry.sweep().evicted == ()
        time.advance(4.5)  # its heartbeats during the stall were lost, and here is the next one
        assert registry.sweep().evicted == ()
        registry.renew("A", "renews")
        time.advance(3.1)

        assert keys(list(registry.sweep().evicted)) == {"is-dead"}

    @pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
    def test_a_wall_clock_that_jumps_evicts_nobody(self, registry: Registry, time: FakeClock, jump_ms: int) -> None:
        registry.register(an_instance())
        time.wall_jump_ms = jump_ms
        pass_seconds(registry, time, 10)

        assert keys(registry.application("ORDERS")) == {"o1"}

    def test_an_evicted_instance_takes_its_override_along(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance())
        registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
        pass_seconds(registry, time, 16)

        assert registry.register(an_instance()).status is Status.UP


class TestChanges:
    def test_each_instance_stands_there_once_as_it_is_now(self, registry: Registry) -> None:
        registry.register(an_instance(key="a"))
        registry.register(an_instance(key="b"))
        registry.override_status("ORDERS", "a", Status.DOWN)

        changed = registry.changes()["ORDERS"]

        assert [(instance.key, instance.status, instance.action) for instance in changed] == [
            ("b", Status.UP, Action.ADDED),
            ("a", Status.DOWN, Action.MODIFIED),
        ]

    def test_they_are_forgotten_after_three_minutes_and_that_is_a_new_version(
        self, registry: Registry, time: FakeClock
    ) -> None:
        registry.register(an_instance(duration=1000))
        before = registry.version

        pass_seconds(registry, time, 180)
        assert registry.version == before
        pass_seconds(registry, time, 1)
        assert registry.changes() == {}
        assert registry.version > before
        assert registry.applications() != {}

    def test_one_that_left_and_came_back_is_added(self, registry: Registry) -> None:
        registry.register(an_instance())
        registry.cancel("ORDERS", "o1")
        registry.register(an_instance())

        assert [instance.action for instance in registry.changes()["ORDERS"]] == [Action.ADDED]


class TestVersion:
    def test_a_registry_started_anew_has_another_version(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance())
        time.advance(5)

        assert Registry(time.clock).version > registry.version


class TestHashCode:
    def test_it_counts_each_status_in_alphabetical_order(self, registry: Registry) -> None:
        assert hash_code(registry.applications()) == ""
        registry.register(an_instance(key="a"))
        registry.register(an_instance(key="b"))
        registry.register(an_instance("C", key="c", status=Status.DOWN))

        assert hash_code(registry.applications()) == "DOWN_1_UP_2_"


def renew(registry: Registry, *apps: str, only: str = "") -> None:
    """Renew all instances of some applications, or the ones whose id ends in `only`."""
    for app in apps:
        for instance in registry.application(app):
            if instance.key.endswith(only):
                registry.renew(app, instance.key)

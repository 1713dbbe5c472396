"""What the registry tells of arrivals, changes and departures, and of the leases themselves."""

import pytest
from support.clock import WALL_AT_START_MS, FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance, TakenByAnother
from discovery_server.registry.instance import Action, Status
from discovery_server.registry.leases import Event, hash_code
from discovery_server.registry.registry import Registry


class TestListen:
    def test_every_change_is_told_once_and_renewals_are_none(self, registry: Registry) -> None:
        events: list[Event] = []
        registry.listen(events.append)

        registry.register(an_instance("A", "1"))
        registry.renew("A", "1")
        registry.override_status("A", "1", Status.OUT_OF_SERVICE)
        registry.override_status("A", "1", Status.OUT_OF_SERVICE)
        registry.cancel("A", "1")

        assert [(event.instance.action, event.instance.status) for event in events] == [
            (Action.ADDED, Status.UP),
            (Action.MODIFIED, Status.OUT_OF_SERVICE),
            (Action.DELETED, Status.OUT_OF_SERVICE),
        ]
        assert all(event.local for event in events)

    def test_an_event_carries_the_version_that_readers_then_see(self, registry: Registry) -> None:
        seen: list[tuple[int, int, int]] = []
        registry.listen(
            lambda event: seen.append((event.version, registry.version, registry.application_versions()["A"]))
        )

        registry.register(an_instance("A", "1"))
        registry.register(an_instance("A", "2"))

        assert [len(set(versions)) for versions in seen] == [1, 1]
        assert seen[0] < seen[1]

    def test_what_other_servers_or_the_sweeper_did_is_not_local(self, registry: Registry, time: FakeClock) -> None:
        events: list[Event] = []
        registry.listen(events.append)

        registry.register(an_instance("A", "1", duration=3), replicated=True)
        for _ in range(4):
            time.advance(1)
            registry.sweep()

        assert [event.local for event in events] == [False, False]
        assert events[1].why.startswith("ran out: no renewal for")

    def test_renewals_by_clients_are_told_to_those_who_ask_for_them(self, registry: Registry) -> None:
        renewals: list[tuple[str, str]] = []
        registry.on_renewal.append(lambda app, key: renewals.append((app, key)))
        registry.register(an_instance("A", "1"))

        registry.renew("a", "1")
        registry.renew("A", "1", replicated=True)

        assert renewals == [("A", "1")]


class TestDepartures:
    def test_each_says_who_went_when_and_why(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance("A", "left"))
        registry.register(an_instance("A", "dead"))
        time.advance(2)

        registry.cancel("A", "left", by="a-service")
        registry.evict("A", "dead", "refuses connections")

        assert [(gone.instance.key, gone.why, gone.by) for gone in registry.departures] == [
            ("left", "left", "a-service"),
            ("dead", "refuses connections", None),
        ]
        assert registry.departures[0].at_ms == WALL_AT_START_MS + 2000

    def test_only_new_instances_arrive(self, registry: Registry) -> None:
        registry.register(an_instance("A", "1"), owner="A")
        registry.register(an_instance("A", "1"), owner="A")

        assert [(come.instance.key, come.by) for come in registry.arrivals] == [("1", "A")]


class TestOwners:
    def test_an_instance_cannot_be_taken_over_by_another_principal(self, registry: Registry) -> None:
        registry.register(an_instance("A", "1", host_name="ours.test"), owner="A")

        with pytest.raises(TakenByAnother):
            registry.register(an_instance("A", "1", host_name="theirs.test", last_dirty_ms=9000), owner="B")

        assert registry.instance("A", "1").host_name == "ours.test"

    def test_an_instance_that_is_gone_can_be_registered_by_anybody(self, registry: Registry) -> None:
        registry.register(an_instance("A", "1"), owner="A")
        registry.cancel("A", "1")

        registry.register(an_instance("A", "1"), owner="B")

        assert next(iter(registry.leases())).owner == "B"

    def test_changing_metadata_keeps_the_owner(self, registry: Registry) -> None:
        registry.register(an_instance("A", "1"), owner="A")

        registry.change_metadata("A", "1", {"k": "v"})

        assert next(iter(registry.leases())).owner == "A"


class TestLeases:
    def test_each_shows_its_age_and_the_override_that_counts(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance("A", "1"))
        registry.override_status("A", "1", Status.OUT_OF_SERVICE)
        time.advance(7)

        view = next(iter(registry.leases()))

        assert view.silent_seconds == 7
        assert view.override is not None
        assert view.override.status is Status.OUT_OF_SERVICE

    def test_a_sign_of_life_other_than_a_renewal_prolongs_one(self, registry: Registry, time: FakeClock) -> None:
        registry.register(an_instance("A", "1"))
        time.advance(7)

        registry.keep_alive("A", "1")

        assert registry.silent_seconds("A", "1") == 0

    def test_with_a_factor_of_two_they_last_as_long_as_eurekas(self, time: FakeClock) -> None:
        registry = Registry(time.clock, lease_factor=2)
        registry.register(an_instance("A", "1", duration=15))

        for second in range(1, 33):
            time.advance(1)
            registry.sweep()
            assert bool(registry.applications()) is (second <= 30)

    def test_an_eviction_of_nobody_is_refused(self, registry: Registry) -> None:
        with pytest.raises(NoSuchInstance):
            registry.evict("A", "1", "refuses connections")


class TestHashCode:
    def test_it_is_counted_along_with_every_change(self, registry: Registry) -> None:
        assert registry.hash_code == ""
        registry.register(an_instance("A", "1"))
        registry.register(an_instance("A", "2", status=Status.DOWN))
        registry.override_status("A", "1", Status.OUT_OF_SERVICE)
        registry.register(an_instance("B", "1"))
        registry.register(an_instance("B", "1", status=Status.STARTING))
        registry.cancel("A", "2")

        assert registry.hash_code == hash_code(registry.applications()) == "OUT_OF_SERVICE_1_STARTING_1_"

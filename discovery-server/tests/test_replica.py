"""What becomes of a registry when it hears of another one: rule by rule."""

import pytest
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Status
from discovery_server.registry.leases import Event
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry


class Pair:
    """Two registries under one time; the second one's wall clock is ten minutes slow."""

    def __init__(self) -> None:
        self.clocks = FakeClock(), FakeClock()
        self.clocks[1].wall_jump_ms = -600_000
        self.here, self.there = (
            Registry(clock.clock, server_id=name, preservation=PreservationRules(enabled=False))
            for clock, name in zip(self.clocks, ("here", "there"), strict=True)
        )

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            for clock in self.clocks:
                clock.advance(1)
            self.here.sweep()
            self.there.sweep()

    def talk(self) -> None:
        self.there.merge(list(self.here.states()))
        self.here.merge(list(self.there.states()))
        assert self.here.digests() == self.there.digests()


@pytest.fixture
def pair() -> Pair:
    """Both know one instance, with a lease of 15 s."""
    pair = Pair()
    pair.here.register(an_instance("A", "1"), owner="A")
    pair.talk()
    return pair


class TestMerge:
    def test_takes_over_an_instance_with_its_owner_and_the_age_of_its_lease(self) -> None:
        pair = Pair()
        pair.here.register(an_instance("A", "1", duration=15), owner="A")
        pair.pass_seconds(10)

        pair.talk()

        view = next(iter(pair.there.leases()))
        assert (view.owner, view.silent_seconds) == ("A", 10)
        pair.pass_seconds(6)
        assert pair.there.applications() == {}

    def test_prefers_the_record_that_the_client_changed_later(self, pair: Pair) -> None:
        pair.here.register(an_instance("A", "1", host_name="newer.test", last_dirty_ms=3000))
        pair.there.register(an_instance("A", "1", host_name="older.test", last_dirty_ms=2000))

        pair.talk()

        assert pair.there.instance("A", "1").host_name == "newer.test"

    def test_lets_what_a_slow_clock_did_after_it_heard_of_something_win(self, pair: Pair) -> None:
        pair.there.cancel("A", "1")

        pair.talk()

        assert pair.here.applications() == {}
        assert pair.here.departures[-1].why == "left, as another server says"

    def test_lets_a_client_register_anew_that_left_and_whose_clock_was_set_back(self, pair: Pair) -> None:
        pair.here.register(an_instance("A", "1", last_dirty_ms=5000))
        pair.talk()
        pair.here.cancel("A", "1")
        pair.here.register(an_instance("A", "1", host_name="anew.test", last_dirty_ms=100))

        pair.talk()

        assert pair.there.instance("A", "1").host_name == "anew.test"

    def test_lets_a_client_that_sends_no_stamp_change_itself_at_a_server_with_a_slow_clock(self) -> None:
        pair = Pair()
        pair.here.register(an_instance("A", "1", last_dirty_ms=None))
        pair.talk()

        pair.there.register(an_instance("A", "1", last_dirty_ms=None, metadata={"zone": "z2"}))
        pair.talk()

        assert pair.here.instance("A", "1").metadata == {"zone": "z2"}

    def test_does_not_let_an_old_cancellation_end_a_new_registration(self, pair: Pair) -> None:
        pair.there.cancel("A", "1")
        old_news = list(pair.there.states())
        pair.talk()
        pair.here.register(an_instance("A", "1"))

        ours_is_newer = pair.here.merge(old_news)

        assert pair.here.instance("A", "1")
        assert ours_is_newer == [("A", "1")]

    def test_does_not_believe_an_eviction_where_the_instance_was_heard(self, pair: Pair) -> None:
        for _ in range(4):
            pair.pass_seconds(5)
            pair.there.renew("A", "1")
        assert pair.here.applications() == {}

        pair.talk()

        assert pair.here.instance("A", "1").status is Status.UP

    def test_does_not_take_back_what_a_probe_found_dead_until_it_was_heard_again(self, pair: Pair) -> None:
        pair.pass_seconds(2)
        pair.here.evict("A", "1", "refuses connections")

        pair.here.merge(list(pair.there.states()))
        assert pair.here.applications() == {}

        pair.pass_seconds(2)
        pair.there.renew("A", "1")
        pair.talk()
        assert pair.here.instance("A", "1")

    def test_tells_of_changes_as_heard_and_of_nothing_where_nothing_changed(self, pair: Pair) -> None:
        events: list[Event] = []
        pair.there.listen(events.append)

        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.talk()
        pair.talk()

        assert [(event.instance.status, event.local) for event in events] == [(Status.OUT_OF_SERVICE, False)]


class TestOverrides:
    def test_d4_an_override_survives_a_registration_elsewhere(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.there.register(an_instance("A", "1", last_dirty_ms=9_000_000))

        pair.talk()

        assert pair.there.instance("A", "1").status is Status.OUT_OF_SERVICE

    def test_d4_an_override_survives_that_its_instance_was_evicted_here_and_lived_there(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        for _ in range(4):
            pair.pass_seconds(5)
            pair.there.renew("A", "1")
        assert pair.here.applications() == {}

        pair.talk()
        pair.there.register(an_instance("A", "1", last_dirty_ms=2000))
        pair.talk()

        assert pair.here.instance("A", "1").status is Status.OUT_OF_SERVICE
        assert pair.there.instance("A", "1").status is Status.OUT_OF_SERVICE

    def test_an_override_ends_with_an_instance_that_nobody_heard_of(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.talk()
        pair.pass_seconds(20)

        pair.here.register(an_instance("A", "1", last_dirty_ms=2000))
        pair.talk()

        assert pair.here.instance("A", "1").status is Status.UP
        assert pair.there.instance("A", "1").status is Status.UP

    def test_the_later_word_of_two_operators_counts(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.talk()

        pair.there.remove_override("A", "1", Status.UP)
        pair.talk()

        assert pair.here.instance("A", "1").status is Status.UP

    def test_a_cancellation_ends_an_override_everywhere(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.talk()
        pair.there.cancel("A", "1")
        pair.talk()

        pair.here.register(an_instance("A", "1", last_dirty_ms=2000))
        pair.talk()

        assert pair.there.instance("A", "1").status is Status.UP


class TestMarkRenewed:
    def test_prolongs_a_lease_by_what_was_heard_elsewhere(self, pair: Pair) -> None:
        state = pair.here.state("A", "1")
        assert state is not None
        pair.pass_seconds(12)

        assert pair.there.mark_renewed("A", "1", state.version, 2.0)

        assert pair.there.silent_seconds("A", "1") == 2

    def test_asks_for_the_state_of_a_version_it_does_not_know(self, pair: Pair) -> None:
        pair.here.register(an_instance("A", "1", last_dirty_ms=2000))
        state = pair.here.state("A", "1")
        assert state is not None

        assert not pair.there.mark_renewed("A", "1", state.version, 0.0)
        assert not pair.there.mark_renewed("B", "1", state.version, 0.0)


class TestStates:
    def test_a_snapshot_counts_every_lease_from_now(self, pair: Pair) -> None:
        pair.pass_seconds(14)
        kept = list(pair.here.states(run_out=True))

        restarted = Registry(pair.clocks[0].clock)
        restarted.merge(kept, fresh=True)
        pair.clocks[0].advance(14)
        restarted.sweep()
        restarted.sweep()

        assert restarted.instance("A", "1")

    def test_what_a_snapshot_alone_knew_is_told_when_a_peer_hears_its_instance_in_an_older_version_d5(
        self, pair: Pair
    ) -> None:
        pair.here.change_metadata("A", "1", {"zone": "z2"})
        restarted = Registry(pair.clocks[0].clock)
        restarted.merge(list(pair.here.states(run_out=True)), fresh=True)
        assert not list(restarted.states())

        assert restarted.merge(list(pair.there.states())) == [("A", "1")]
        pair.there.merge(list(restarted.states()))

        assert pair.there.instance("A", "1").metadata == {"zone": "z2"}
        assert pair.there.digests() == restarted.digests()

    def test_what_is_long_gone_is_forgotten(self, pair: Pair) -> None:
        pair.here.override_status("A", "1", Status.OUT_OF_SERVICE)
        pair.here.cancel("A", "1")
        assert list(pair.here.states())

        pair.pass_seconds(601)

        assert not list(pair.here.states())
        with pytest.raises(NoSuchInstance):
            pair.here.instance("A", "1")

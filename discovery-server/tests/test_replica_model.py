"""Random histories of three registries that hear of each other now and then: told everything, they agree."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Status
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import SERVING, Override

NAMES = [("A", "1"), ("A", "2"), ("B", "1")]
servers = st.integers(0, 2)
names = st.sampled_from(NAMES)
stamps = st.integers(1, 4)


class ReplicasAgree(RuleBasedStateMachine):
    """One time for all, three wall clocks that differ by minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks = [FakeClock() for _ in range(3)]
        for skew, clock in enumerate(self.clocks):
            clock.wall_jump_ms = (skew - 1) * 300_000
        self.registries = [
            Registry(clock.clock, server_id=f"s{number}", preservation=PreservationRules(enabled=False))
            for number, clock in enumerate(self.clocks)
        ]

        for name in NAMES:
            self.registries[0].register(an_instance(*name, last_dirty_ms=1, duration=12))
        self.tell_everybody_everything()

    # Few rules with many choices in each: hypothesis leaves out whole rules at random, and all are needed for a story.

    @rule(server=servers, name=names, what=st.sampled_from(["register"] * 3 + ["renew", "cancel", "metadata"]),
          said=st.sampled_from([Status.UP] * 3 + [Status.OUT_OF_SERVICE, Status.DOWN]), dirty=stamps)  # fmt: skip
    def a_client_acts(self, server: int, name: tuple[str, str], what: str, said: Status, dirty: int) -> None:
        registry = self.registries[server]
        with suppress(NoSuchInstance):
            match what:
                case "register":
                    registry.register(an_instance(*name, status=said, last_dirty_ms=dirty, duration=12))
                case "renew":
                    registry.renew(*name)
                case "cancel":
                    registry.cancel(*name)
                case "metadata":
                    registry.change_metadata(*name, {"said": said})

    @rule(server=servers, name=names, status=st.none() | st.sampled_from(Status), value=st.sampled_from(Status))
    def an_operator_acts(self, server: int, name: tuple[str, str], status: Status | None, value: Status) -> None:
        with suppress(NoSuchInstance):
            if status is None:
                self.registries[server].remove_override(*name, value)
            else:
                self.registries[server].override_status(*name, status)

    @rule(seconds=st.integers(1, 5), renewing=st.none() | servers)
    def seconds_pass(self, seconds: int, renewing: int | None) -> None:
        """While clients renew with one of the servers, or with none."""
        for _ in range(seconds):
            for clock, registry in zip(self.clocks, self.registries, strict=True):
                clock.advance(1)
                registry.sweep()
        for name in NAMES if renewing is not None else ():
            with suppress(NoSuchInstance):
                self.registries[renewing or 0].renew(*name)

    @rule(giver=servers, taker=servers)
    def one_tells_another(self, giver: int, taker: int) -> None:
        if giver != taker:
            self.registries[taker].merge(list(self.registries[giver].states()))

    @rule()
    def tell_everybody_everything(self) -> None:
        overridden = dict(self.latest_overrides())
        for _ in range(2):
            for giver, taker in permutations(self.registries, 2):
                taker.merge(list(giver.states()))

        one, *others = self.registries
        for other in others:
            assert other.digests() == one.digests()
            assert self.seen(other) == self.seen(one)
        for name, override in overridden.items():
            state = one.state(*name)
            if state is not None and state.instance is not None and state.own_status in SERVING:
                assert state.instance.status is override.status, f"{override} of {name} was lost"

    def teardown(self) -> None:
        self.tell_everybody_everything()

    @invariant()
    def what_is_merged_again_changes_nothing(self) -> None:
        for registry in self.registries:
            version = registry.version
            assert registry.merge(list(registry.states(run_out=True))) == []
            assert registry.version == version

    def latest_overrides(self) -> Iterator[tuple[tuple[str, str], Override]]:
        """Of each instance the override with the latest stamp of all, where that counts for a living instance there."""
        for name in NAMES:
            states = [state for registry in self.registries if (state := registry.state(*name)) is not None]
            latest = max(
                (state.override for state in states if state.override), key=lambda found: found.stamp, default=None
            )
            gone = max((state.version.stamp for state in states if state.instance is None), default=None)
            living = any(
                state.instance is not None and state.override == latest and latest.applies_to(state.version)
                for state in states
                if latest is not None
            )
            if latest is not None and latest.status is not None and living and (not gone or gone < latest.stamp):
                yield name, latest

    @staticmethod
    def seen(registry: Registry) -> dict[tuple[str, str], tuple[object, ...]]:
        return {
            (app, instance.key): (
                instance.status,
                instance.overridden_status,
                instance.dirty_ms,
                dict(instance.metadata),
            )
            for app, instances in registry.applications().items()
            for instance in instances
        }


TestReplicasAgree = ReplicasAgree.TestCase
TestReplicasAgree.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)

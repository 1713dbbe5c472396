"""Random histories of one registry against a plain oracle of Eureka's rules."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Action, Status
from discovery_server.registry.leases import hash_code
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry

NAMES = [("A", "1"), ("A", "2"), ("B", "1")]
names = st.sampled_from(NAMES)
statuses = st.sampled_from(Status)
stamps = st.integers(1, 4)
durations = st.sampled_from([3, 10])


@dataclass
class Known:
    """What the oracle remembers of one instance."""

    status: Status
    dirty: int
    duration: int
    renewed_at: float


class RegistryAgainstOracle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.time = FakeClock()
        # Preservation is tested elsewhere: here every lease that runs out ends.
        self.registry = Registry(
            self.time.clock, preservation=PreservationRules(enabled=False), delta_retention_seconds=30
        )
        self.known: dict[tuple[str, str], Known] = {}
        self.overrides: dict[tuple[str, str], Status] = {}
        self.changed_at: dict[tuple[str, str], float] = {}
        self.version = self.registry.version

    @rule(
        name=names, status=statuses, dirty=stamps, duration=durations, brought=st.sampled_from([None] * 9 + [*Status])
    )
    def register(
        self, name: tuple[str, str], status: Status, dirty: int, duration: int, brought: Status | None
    ) -> None:
        app, key = name
        overridden = brought or Status.UNKNOWN
        self.registry.register(
            an_instance(app, key, status=status, last_dirty_ms=dirty, duration=duration, overridden_status=overridden)
        )

        before = self.known.get(name)
        if before and before.dirty > dirty:
            status, dirty, duration = before.status, before.dirty, before.duration
            overridden = self.overrides.get(name, Status.UNKNOWN)
        if overridden is not Status.UNKNOWN:
            self.overrides.setdefault(name, overridden)
        self.known[name] = Known(self.rule_out(name, status, before), dirty, duration, self.time.seconds)
        self.changed_at[name] = self.time.seconds

    @rule(name=names, dirty=st.none() | stamps)
    def renew(self, name: tuple[str, str], dirty: int | None) -> None:
        known = self.known.get(name)
        status = self.rule_out(name, known.status, known) if known else Status.UNKNOWN
        fails = status is Status.UNKNOWN or (known is not None and dirty is not None and dirty > known.dirty)

        if fails:
            with pytest.raises(NoSuchInstance):
                self.registry.renew(*name, dirty_ms=dirty)
        else:
            self.registry.renew(*name, dirty_ms=dirty)

        if known and status is not Status.UNKNOWN:
            known.renewed_at = self.time.seconds
            if known.status is not status:
                known.status, self.changed_at[name] = status, self.time.seconds

    @rule(name=names)
    def cancel(self, name: tuple[str, str]) -> None:
        self.overrides.pop(name, None)
        if self.known.pop(name, None) is None:
            with pytest.raises(NoSuchInstance):
                self.registry.cancel(*name)
            return
        self.registry.cancel(*name)
        self.changed_at[name] = self.time.seconds

    @rule(name=names, status=statuses, dirty=st.none() | stamps)
    def override(self, name: tuple[str, str], status: Status, dirty: int | None) -> None:
        known = self.known.get(name)
        if known is None:
            with pytest.raises(NoSuchInstance):
                self.registry.override_status(*name, status, dirty_ms=dirty)
            return
        self.registry.override_status(*name, status, dirty_ms=dirty)
        known.renewed_at = self.time.seconds
        if known.status is not status:
            known.status, known.dirty = status, max(known.dirty, dirty or 0)
            self.overrides[name] = status
            self.changed_at[name] = self.time.seconds

    @rule(name=names, status=statuses)
    def remove_override(self, name: tuple[str, str], status: Status) -> None:
        known = self.known.get(name)
        if known is None:
            with pytest.raises(NoSuchInstance):
                self.registry.remove_override(*name, status)
            return
        self.registry.remove_override(*name, status)
        known.renewed_at = self.time.seconds
        if self.overrides.pop(name, None) is not None:
            known.status = status
            self.changed_at[name] = self.time.seconds

    @rule(seconds=st.integers(1, 12), jump_ms=st.integers(-10_000, 10_000))
    def pass_seconds(self, seconds: int, jump_ms: int) -> None:
        for _ in range(seconds):
            self.time.advance(1)
            self.time.wall_jump_ms += jump_ms  # the wall's clock may do what it likes
            self.registry.sweep()
            for name, known in list(self.known.items()):
                if self.time.seconds - known.renewed_at > known.duration:
                    del self.known[name]
                    self.overrides.pop(name, None)
                    self.changed_at[name] = self.time.seconds
            self.changed_at = {name: at for name, at in self.changed_at.items() if self.time.seconds - at <= 30}

    @invariant()
    def what_is_registered_is_what_the_oracle_says(self) -> None:
        found = {
            (app, instance.key): (instance.status, instance.dirty_ms, instance.overridden_status)
            for app, instances in self.registry.applications().items()
            for instance in instances
        }
        assert found == {
            name: (known.status, known.dirty, self.overrides.get(name, Status.UNKNOWN))
            for name, known in self.known.items()
        }

    @invariant()
    def the_delta_holds_what_changed_lately_as_it_is_now(self) -> None:
        registered = {
            (app, instance.key): instance
            for app, instances in self.registry.applications().items()
            for instance in instances
        }
        changed = {
            (app, instance.key): instance
            for app, instances in self.registry.changes().items()
            for instance in instances
        }
        assert changed.keys() == self.changed_at.keys()
        for name, instance in changed.items():
            assert (instance.action is Action.DELETED) == (name not in registered)
            assert registered.get(name, instance) is instance

    @invariant()
    def the_hash_code_counts_the_statuses(self) -> None:
        counts = sorted(known.status.value for known in self.known.values())
        expected = "".join(f"{status}_{counts.count(status)}_" for status in sorted(set(counts)))
        assert hash_code(self.registry.applications()) == expected

    @invariant()
    def the_version_never_goes_back(self) -> None:
        assert self.registry.version >= self.version
        self.version = self.registry.version

    def rule_out(self, name: tuple[str, str], said: Status, known: Known | None) -> Status:
        """Eureka's rules: down is believed, then overrides, then what is known to serve, then what is said."""
        serving = (Status.UP, Status.OUT_OF_SERVICE)
        if said not in serving:
            return said
        return self.overrides.get(name) or (known.status if known and known.status in serving else said)


TestRegistryAgainstOracle = RegistryAgainstOracle.TestCase
TestRegistryAgainstOracle.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

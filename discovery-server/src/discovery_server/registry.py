"""The leases: who is registered, with which status, and until when. Pure; the clock is passed in."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .errors import NoSuchInstance
from .instance import Action, Instance, Status
from .preservation import PreservationRules, Pulse, is_network_silence

# After a pause this long between two sweeps (the process was stopped, the machine slept) heartbeats may be waiting in
# the sockets, unread: nobody is evicted until they have had their turn.
_STALL_SECONDS = 5.0

_SERVING = frozenset({Status.UP, Status.OUT_OF_SERVICE})


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the registry needs it: a steady one for the leases, the wall's for the stamps on the wire."""

    monotonic_seconds: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


@dataclass(slots=True)
class Lease:
    """What keeps an instance registered, for one duration after each renewal."""

    instance: Instance
    renewed_at: float  # of the steady clock
    renewed_ms: int

    def silent_seconds(self, now: float) -> float:
        return now - self.renewed_at

    def has_run_out(self, now: float) -> bool:
        """After one duration. Eureka waits for two, by a mistake that it has declared to be for ever (#1450)."""
        return self.silent_seconds(now) > self.instance.lease.duration_seconds


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at the leases did."""

    evicted: tuple[Instance, ...] = ()
    preserved: tuple[Instance, ...] = ()  # ran out, and are kept since too many did at once


@dataclass(slots=True)
class _Change:
    at: float  # of the steady clock
    instance: Instance


@dataclass(slots=True)
class Registry:
    """All leases. Names of applications are upper-cased here; instance ids are taken as they are."""

    clock: Clock = field(default_factory=Clock)
    preservation: PreservationRules = field(default_factory=PreservationRules)
    delta_retention_seconds: float = 180.0
    version: int = field(init=False)  # grows with each change that a reader could see
    preserved: tuple[Instance, ...] = field(init=False, default=())
    _leases: dict[str, dict[str, Lease]] = field(init=False, default_factory=dict)
    _overrides: dict[tuple[str, str], Status] = field(init=False, default_factory=dict)
    _changes: dict[tuple[str, str], _Change] = field(init=False, default_factory=dict)
    _swept_at: float = field(init=False)

    def __post_init__(self) -> None:
        # From the wall's clock, so that a reader never takes a registry started anew for the one it knew: it skips
        # a delta of the same version.
        self.version = self.clock.wall_ms()
        self._swept_at = self.clock.monotonic_seconds()

    # -- what clients do

    def register(self, instance: Instance) -> Instance:
        """Take an instance in, or take it anew; answers it as it is now registered.

        Where an instance that changed later is known already, that one stays, with a fresh lease. The status follows
        `_status_of`. Overrides survive (promise D4).
        """
        app, key = instance.app, instance.key
        now_ms = self.clock.wall_ms()
        known = self._leases.get(app, {}).get(key)
        if instance.last_dirty_ms is None:
            instance = replace(instance, last_dirty_ms=now_ms)
        kept = known.instance if known and known.instance.dirty_ms > instance.dirty_ms else instance
        if kept.overridden_status is not Status.UNKNOWN:
            self._overrides.setdefault((app, key), kept.overridden_status)
        status = self._status_of(kept, known.instance if known else None)
        up_since_ms = known.instance.lease.up_since_ms if known else 0
        kept = replace(
            kept,
            status=status,
            overridden_status=self._overrides.get((app, key), Status.UNKNOWN),
            lease=replace(
                kept.lease,
                registered_ms=now_ms,
                renewed_ms=now_ms,
                evicted_ms=0,
                up_since_ms=up_since_ms or (now_ms if status is Status.UP else 0),
            ),
        )
        lease = Lease(kept, self.clock.monotonic_seconds(), now_ms)
        self._leases.setdefault(app, {})[key] = lease
        return self._changed(lease, kept, Action.ADDED)

    def renew(self, app: str, key: str, *, dirty_ms: int | None = None) -> Instance:
        """Prolong a lease by one duration; answers the instance as it is known here.

        Raises NoSuchInstance where the client has to register (again): there is no lease, the status is UNKNOWN since
        an override was removed, or the client has changed after it last registered (`dirty_ms`).
        """
        lease = self._lease(app, key)
        instance = lease.instance
        status = self._status_of(instance, instance)
        if status is Status.UNKNOWN:
            raise NoSuchInstance(f"The status of {key} is not known: register again.")
        if status is not instance.status:
            instance = self._changed(lease, replace(instance, status=status), Action.MODIFIED)
        self._prolong(lease)
        if dirty_ms is not None and dirty_ms > instance.dirty_ms:
            raise NoSuchInstance(f"{key} has changed since it registered: register again.")
        return instance

    def cancel(self, app: str, key: str) -> Instance:
        """End a lease, and forget its override. Raises NoSuchInstance."""
        self._overrides.pop((app.upper(), key), None)
        lease = self._lease(app, key)
        self._remove(lease)
        return lease.instance

    def override_status(self, app: str, key: str, status: Status, *, dirty_ms: int | None = None) -> None:
        """Give an instance a status that its own registrations can't undo (promise D4). Raises NoSuchInstance."""
        lease = self._lease(app, key)
        self._prolong(lease)
        instance = lease.instance
        if instance.status is status:
            return  # as in Eureka: what an instance says of itself is not made an override
        self._overrides[instance.app, key] = status
        up_since_ms = instance.lease.up_since_ms or (self.clock.wall_ms() if status is Status.UP else 0)
        self._changed(
            lease,
            replace(
                instance,
                status=status,
                overridden_status=status,
                lease=replace(instance.lease, up_since_ms=up_since_ms),
                last_dirty_ms=max(instance.dirty_ms, dirty_ms or 0),
            ),
            Action.MODIFIED,
        )

    def remove_override(self, app: str, key: str, status: Status, *, dirty_ms: int | None = None) -> None:
        """Take an override away and set a status, usually UNKNOWN, so that the client registers again.

        Does nothing where there is no override. Raises NoSuchInstance.
        """
        lease = self._lease(app, key)
        self._prolong(lease)
        instance = lease.instance
        if self._overrides.pop((instance.app, key), None) is None:
            return
        self._changed(
            lease,
            replace(
                instance,
                status=status,
                overridden_status=Status.UNKNOWN,
                last_dirty_ms=max(instance.dirty_ms, dirty_ms or 0),
            ),
            Action.MODIFIED,
        )

    def change_metadata(self, app: str, key: str, pairs: Mapping[str, str]) -> None:
        """Set entries of an instance's metadata, and register it anew with them. Raises NoSuchInstance."""
        instance = self._lease(app, key).instance
        self.register(replace(instance, metadata={**instance.metadata, **pairs}))

    # -- what the sweeper does

    def sweep(self) -> Sweep:
        """Evict what has run out (promises D2, D3), and forget changes that deltas no longer tell."""
        now = self.clock.monotonic_seconds()
        stalled = now - self._swept_at > _STALL_SECONDS
        self._swept_at = now
        self._forget_changes_before(now - self.delta_retention_seconds)
        if stalled:
            return Sweep(preserved=self.preserved)
        expired = [lease for lease in self._all_leases() if lease.has_run_out(now)]
        if expired and is_network_silence(self._pulses(now), self.preservation):
            self.preserved = tuple(lease.instance for lease in expired)
            return Sweep(preserved=self.preserved)
        self.preserved = ()
        for lease in expired:
            self._overrides.pop((lease.instance.app, lease.instance.key), None)
            self._remove(lease)
        return Sweep(evicted=tuple(lease.instance for lease in expired))

    # -- what readers see

    def instance(self, app: str, key: str) -> Instance:
        """One instance, with the stamp of its last renewal. Raises NoSuchInstance."""
        lease = self._lease(app, key)
        return replace(lease.instance, lease=replace(lease.instance.lease, renewed_ms=lease.renewed_ms))

    def instance_of_any_app(self, key: str) -> Instance:
        """One instance by its id alone. Raises NoSuchInstance."""
        for app, leases in self._leases.items():
            if key in leases:
                return self.instance(app, key)
        raise NoSuchInstance(f"No instance {key} is registered.")

    def application(self, app: str) -> list[Instance]:
        """The instances of an application; none where it is unknown."""
        return [lease.instance for lease in self._leases.get(app.upper(), {}).values()]

    def applications(self) -> dict[str, list[Instance]]:
        """All instances by application."""
        return {app: [lease.instance for lease in leases.values()] for app, leases in self._leases.items()}

    def changes(self) -> dict[str, list[Instance]]:
        """What changed lately, by application; the oldest change first, each instance once, as it is now."""
        changed: dict[str, list[Instance]] = {}
        for (app, _), change in self._changes.items():
            changed.setdefault(app, []).append(change.instance)
        return changed

    def silent_seconds(self, app: str, key: str) -> float:
        """How long an instance has not renewed. Raises NoSuchInstance."""
        return self._lease(app, key).silent_seconds(self.clock.monotonic_seconds())

    # -- how it is done

    def _status_of(self, instance: Instance, known: Instance | None) -> Status:
        """The status an instance gets, by Eureka's rules in their order.

        One that says it is not ready is believed. Else an override wins. Else the known status stays if it is UP or
        OUT_OF_SERVICE: who was drained does not come back by registering. Else what the instance says.
        """
        if instance.status not in _SERVING:
            return instance.status
        if (override := self._overrides.get((instance.app, instance.key))) is not None:
            return override
        if known is not None and known.status in _SERVING:
            return known.status
        return instance.status

    def _lease(self, app: str, key: str) -> Lease:
        lease = self._leases.get(app.upper(), {}).get(key)
        if lease is None:
            raise NoSuchInstance(f"No instance {key} of {app.upper()} is registered.")
        return lease

    def _prolong(self, lease: Lease) -> None:
        lease.renewed_at, lease.renewed_ms = self.clock.monotonic_seconds(), self.clock.wall_ms()

    def _remove(self, lease: Lease) -> None:
        instance = lease.instance
        leases = self._leases[instance.app]
        del leases[instance.key]
        if not leases:
            del self._leases[instance.app]
        now_ms = self.clock.wall_ms()
        self._changed(lease, replace(instance, lease=replace(instance.lease, evicted_ms=now_ms)), Action.DELETED)

    def _changed(self, lease: Lease, instance: Instance, action: Action) -> Instance:
        lease.instance = instance = replace(instance, action=action, last_updated_ms=self.clock.wall_ms())
        self._changes.pop((instance.app, instance.key), None)  # to the end
        self._changes[instance.app, instance.key] = _Change(self.clock.monotonic_seconds(), instance)
        self.version += 1
        return instance

    def _forget_changes_before(self, oldest: float) -> None:
        gone = []
        for name, change in self._changes.items():
            if change.at >= oldest:
                break
            gone.append(name)
        for name in gone:
            del self._changes[name]
        if gone:
            self.version += 1

    def _all_leases(self) -> Iterator[Lease]:
        for leases in self._leases.values():
            yield from leases.values()

    def _pulses(self, now: float) -> Iterator[Pulse]:
        for lease in self._all_leases():
            info = lease.instance.lease
            yield Pulse(
                lease.instance.app, lease.silent_seconds(now), info.renewal_interval_seconds, info.duration_seconds
            )


def hash_code(applications: Mapping[str, list[Instance]]) -> str:
    """Eureka's digest of a registry: how many instances have each status, such as `DOWN_2_UP_8_`."""
    counts = Counter(instance.status for instances in applications.values() for instance in instances)
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))

"""Who is registered, as readers see it, and who lately came, changed and left. Pure; the clock is passed in."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from discovery_server.errors import NoSuchInstance

from .clock import Clock
from .instance import Action, Instance, Status
from .state import Override, Version, shown_status

_REMEMBERED = 1000  # arrivals and departures, each; as many as Eureka's page of the last ones shows

Name = tuple[str, str]  # an application's, in upper case, and the id within it


@dataclass(slots=True)
class Lease:
    """What keeps an instance registered, for one duration after each renewal."""

    instance: Instance  # as it is shown, overridden or not
    own_status: Status
    version: Version
    owner: str | None
    renewed_at: float  # of the steady clock
    renewed_ms: int
    # The same, unless it comes from a snapshot: then the lease counts from the start, and nobody was heard of.
    heard_at: float

    @property
    def name(self) -> Name:
        return self.instance.app, self.instance.key

    def silent_seconds(self, now: float) -> float:
        return now - self.renewed_at


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as it is at this moment."""

    instance: Instance
    silent_seconds: float
    owner: str | None
    version: Version
    override: Override | None  # the one that counts for it


@dataclass(frozen=True, slots=True)
class Event:
    """A change that a reader could see; `instance.action` says of which kind."""

    version: int
    instance: Instance
    why: str
    local: bool  # made here, not heard from another server


@dataclass(frozen=True, slots=True)
class Arrival:
    at_ms: int
    instance: Instance
    by: str | None


@dataclass(frozen=True, slots=True)
class Departure:
    at_ms: int
    instance: Instance
    why: str
    by: str | None


class Leases:
    """All leases. Names of applications are upper-cased here; instance ids are taken as they are."""

    def __init__(
        self, clock: Clock | None = None, *, delta_retention_seconds: float = 180.0, lease_factor: float = 1.0
    ) -> None:
        self.clock = clock or Clock()
        # Grows with each change that a reader could see. From the wall's clock, so that a reader never takes a registry
        # started anew for the one it knew: it skips a delta of the same version.
        self.version = self.clock.wall_ms()
        self.arrivals: deque[Arrival] = deque(maxlen=_REMEMBERED)
        self.departures: deque[Departure] = deque(maxlen=_REMEMBERED)
        self._delta_retention_seconds = delta_retention_seconds
        self._lease_factor = lease_factor
        self._leases: dict[str, dict[str, Lease]] = {}
        self._overrides: dict[Name, Override] = {}
        self._changes: dict[Name, tuple[float, Instance]] = {}  # when, by the steady clock; the oldest first
        self._app_versions: dict[str, int] = {}
        self._statuses: Counter[Status] = Counter()
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have it called right after each change; it must neither fail nor change anything here."""
        self._listeners.append(listener)

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

    def application_versions(self) -> Mapping[str, int]:
        """The registered applications, and the version at which each last changed."""
        return self._app_versions

    def changes(self) -> dict[str, list[Instance]]:
        """What changed lately, by application; the oldest change first, each instance once, as it is now."""
        changed: dict[str, list[Instance]] = {}
        for (app, _), (_, instance) in self._changes.items():
            changed.setdefault(app, []).append(instance)
        return changed

    def leases(self) -> Iterator[LeaseView]:
        """Every lease, by application."""
        now = self.clock.monotonic_seconds()
        for lease in self._all_leases():
            silent = lease.silent_seconds(now)
            yield LeaseView(lease.instance, silent, lease.owner, lease.version, self._override_of(lease))

    def silent_seconds(self, app: str, key: str) -> float:
        """How long an instance has not renewed. Raises NoSuchInstance."""
        return self._lease(app, key).silent_seconds(self.clock.monotonic_seconds())

    def own_status(self, app: str, key: str) -> Status:
        """What the status of an instance would be without an override. Raises NoSuchInstance."""
        return self._lease(app, key).own_status

    @property
    def hash_code(self) -> str:
        """Eureka's digest of everything: how many instances have each status, such as `DOWN_2_UP_8_`."""
        return _hash_code(self._statuses)

    # -- for those who change it

    def _lease(self, app: str, key: str) -> Lease:
        lease = self._leases.get(app.upper(), {}).get(key)
        if lease is None:
            raise NoSuchInstance(f"No instance {key} of {app.upper()} is registered.")
        return lease

    def _all_leases(self) -> Iterator[Lease]:
        for leases in self._leases.values():
            yield from leases.values()

    def _has_run_out(self, lease: Lease, now: float) -> bool:
        """After one duration. Eureka waits for two, by a mistake that it has declared to be for ever (#1450)."""
        return lease.silent_seconds(now) > lease.instance.lease.duration_seconds * self._lease_factor

    def _can_be_told(self, lease: Lease, now: float) -> bool:
        """Whether it was heard of within its lease; what only a snapshot says would bring back others' dead."""
        return now - lease.heard_at <= lease.instance.lease.duration_seconds * self._lease_factor

    def _prolong(self, lease: Lease) -> None:
        lease.renewed_at = lease.heard_at = self.clock.monotonic_seconds()
        lease.renewed_ms = self.clock.wall_ms()

    def _show(
        self,
        lease: Lease,
        instance: Instance,
        action: Action,
        why: str,
        *,
        local: bool,
        by: str | None = None,
        may_come_up: bool = True,
    ) -> Instance:
        """Put a lease in its place with the instance as it is now; answers that as readers will see it.

        `may_come_up` is for the stamp of its first being UP: as in Eureka the end of an override leaves it alone.
        """
        app, key = lease.name
        status, overridden_status = self._statuses_of(lease)
        up_since_ms = instance.lease.up_since_ms
        if not up_since_ms and status is Status.UP and may_come_up:
            up_since_ms = self.clock.wall_ms()
        instance = replace(
            instance,
            status=status,
            overridden_status=overridden_status,
            lease=replace(instance.lease, up_since_ms=up_since_ms),
            action=action,
            last_updated_ms=self.clock.wall_ms(),
        )
        leases = self._leases.setdefault(app, {})
        if (known := leases.get(key)) is not None:
            self._statuses[known.instance.status] -= 1
        else:
            self.arrivals.append(Arrival(self.clock.wall_ms(), instance, by))
        lease.instance = instance
        leases[key] = lease
        self._statuses[status] += 1
        self._tell(instance, why, local=local)
        return instance

    def _statuses_of(self, lease: Lease) -> tuple[Status, Status]:
        """The status that readers see, and the one it is overridden with: UNKNOWN where it is not."""
        override = self._override_of(lease)
        return shown_status(lease.own_status, override), (override and override.status) or Status.UNKNOWN

    def _looks_otherwise(self, lease: Lease) -> bool:
        """Whether readers see something else than they should by now."""
        return self._statuses_of(lease) != (lease.instance.status, lease.instance.overridden_status)

    def _override_of(self, lease: Lease) -> Override | None:
        """The override that counts for it."""
        override = self._overrides.get(lease.name)
        return override if override is not None and override.applies_to(lease.version) else None

    def _take_out(self, lease: Lease, why: str, *, local: bool, by: str | None = None) -> Instance:
        """Remove a lease; answers its instance as deltas will show it."""
        app, key = lease.name
        del self._leases[app][key]
        if not self._leases[app]:
            del self._leases[app]
        self._statuses[lease.instance.status] -= 1
        now_ms = self.clock.wall_ms()
        instance = replace(
            lease.instance,
            lease=replace(lease.instance.lease, evicted_ms=now_ms),
            action=Action.DELETED,
            last_updated_ms=now_ms,
        )
        self.departures.append(Departure(now_ms, instance, why, by))
        self._tell(instance, why, local=local)
        return instance

    def _tell(self, instance: Instance, why: str, *, local: bool) -> None:
        name = (instance.app, instance.key)
        self._changes.pop(name, None)  # to the end
        self._changes[name] = (self.clock.monotonic_seconds(), instance)
        self.version += 1
        if instance.app in self._leases:
            self._app_versions[instance.app] = self.version
        else:
            self._app_versions.pop(instance.app, None)
        event = Event(self.version, instance, why, local)
        for listener in self._listeners:
            listener(event)

    def _forget_changes_before(self, oldest: float) -> None:
        gone = []
        for name, (at, _) in self._changes.items():
            if at >= oldest:
                break
            gone.append(name)
        for name in gone:
            del self._changes[name]
        if gone:
            self.version += 1


def hash_code(applications: Mapping[str, Sequence[Instance]]) -> str:
    """Eureka's digest of some instances."""
    return _hash_code(Counter(instance.status for instances in applications.values() for instance in instances))


def _hash_code(counts: Mapping[Status, int]) -> str:
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts) if counts[status])

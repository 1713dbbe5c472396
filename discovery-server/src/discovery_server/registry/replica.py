"""What a registry has in common with others of its kind: states to tell, and states heard to be merged."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from .clock import Clock, Stamps
from .instance import Action, Instance, Status
from .leases import Lease, Leases, Name
from .state import NOTHING, Override, State, Version

# How long it is remembered that an instance has left, was evicted or was overridden. Longer than most partitions, and
# than any lease: a peer that was away so long has let its own copy run out.
_MEMORY_SECONDS = 600.0

_NEVER, _EVER = float("-inf"), float("inf")  # by the steady clock

LEFT = "left"
LEFT_ELSEWHERE = "left, as another server says"


@dataclass(slots=True)
class _Grave:
    """An instance that left by its own word."""

    version: Version
    at: float  # of the steady clock


@dataclass(slots=True)
class _Eviction:
    """An instance that was dropped here; a peer that heard of it later than we did knows better."""

    version: Version
    last_sign_at: float
    at: float


@dataclass(frozen=True, slots=True)
class _Digest:
    """An application's, kept since making it takes half a millisecond where there are many instances."""

    version: int  # of the application
    good_until: float  # of the steady clock; until then no lease runs out
    text: str  # empty: nothing can be told


class Replica(Leases):
    """A registry that others can be merged into.

    Of each instance the record with the greater version wins, and the override with the later stamp, each for itself.
    A cancellation is a record; an eviction is none: it says what was not heard here, which proves nothing to a peer
    that did hear it.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        server_id: str = "",
        delta_retention_seconds: float = 180.0,
        lease_factor: float = 1.0,
    ) -> None:
        super().__init__(clock, delta_retention_seconds=delta_retention_seconds, lease_factor=lease_factor)
        self.server_id = server_id or uuid.uuid4().hex
        self._stamps = Stamps(self.clock, self.server_id)
        self._graves: dict[Name, _Grave] = {}
        self._evictions: dict[Name, _Eviction] = {}
        self._digests: dict[str, _Digest] = {}

    # -- what is told to others

    def states(self, *, run_out: bool = False) -> Iterator[State]:
        """Everything known: instances, cancellations, overrides. `run_out`: kept leases that ran out as well."""
        now = self.clock.monotonic_seconds()
        for name in self._names():
            if (state := self._state(name, now, run_out=run_out)) is not None:
                yield state

    def states_of(self, apps: Iterable[str]) -> list[State]:
        """What is known of some applications, by their names in upper case."""
        now, wanted = self.clock.monotonic_seconds(), set(apps)
        names = {(app, key) for app in wanted for key in self._leases.get(app, ())}
        names.update(name for name in (*self._graves, *self._overrides) if name[0] in wanted)
        return [state for name in names if (state := self._state(name, now, run_out=False)) is not None]

    def state(self, app: str, key: str) -> State | None:
        """What is known of one instance, if anything."""
        return self._state((app.upper(), key), self.clock.monotonic_seconds(), run_out=False)

    def digests(self) -> dict[str, str]:
        """By application, a hash of its instances whose leases hold: equal where two registries know the same."""
        now = self.clock.monotonic_seconds()
        digests = {}
        for app in self._leases:
            kept = self._digests.get(app)
            if kept is None or kept.version != self._app_versions[app] or now > kept.good_until:
                kept = self._digests[app] = self._digest_of(app, now)
            if kept.text:
                digests[app] = kept.text
        for app in self._digests.keys() - self._leases.keys():
            del self._digests[app]
        return digests

    def _digest_of(self, app: str, now: float) -> _Digest:
        known = []
        good_until = _EVER
        for key, lease in self._leases[app].items():
            if not self._can_be_told(lease, now):
                good_until = now  # it can be heard of again at any time
                continue
            good_until = min(good_until, lease.heard_at + lease.instance.lease.duration_seconds * self._lease_factor)
            override = self._overrides.get((app, key)) and self._override_of(lease)
            dirty_ms, (stamp_ms, server) = lease.version
            overridden = "" if override is None else f"{override.status} {override.stamp!r}"
            # No text has a NUL in it, so no two lists are written alike. Five times as fast as their repr.
            known.append(f"{key}\0{dirty_ms} {stamp_ms} {server}\0{overridden}")
        known.sort()
        text = sha256("\0\0".join(known).encode()).hexdigest()[:32] if known else ""
        return _Digest(self._app_versions[app], good_until, text)

    # -- what is heard from others

    def merge(self, states: Iterable[State], *, fresh: bool = False) -> list[Name]:
        """Take in what is newer than what is known; answers where ours is newer than what was given.

        `fresh` counts leases from now, since nobody could renew them: what a snapshot holds.
        """
        return [(state.app, state.key) for state in states if self._merge_one(state, fresh=fresh)]

    def mark_renewed(self, app: str, key: str, version: Version, silent_seconds: float) -> bool:
        """A peer heard a renewal that long ago. False: this version is not known here, and its state is needed."""
        lease = self._leases.get(app, {}).get(key)
        if lease is None or lease.version != version:
            return False
        self._prolong_to(lease, silent_seconds)
        return True

    def _merge_one(self, heard: State, *, fresh: bool) -> bool:
        """Whether what is known here is newer than what was heard."""
        name = (heard.app, heard.key)
        self._stamps.saw(heard.version.stamp)
        override_changed, override_is_newer = self._merge_override(name, heard.override)
        if override_changed:
            self._digests.pop(heard.app, None)  # readers may not see it, so that the version stays
        lease, known = self._leases.get(heard.app, {}).get(heard.key), self._known_version(name)
        is_newer = override_is_newer or known > heard.version
        if heard.instance is None:
            if heard.version > known:
                self._graves[name] = _Grave(heard.version, self.clock.monotonic_seconds())
                if lease is not None:
                    self._take_out(lease, LEFT_ELSEWHERE, local=False)
                return is_newer
        elif heard.version > known and (lease is not None or fresh or self._is_alive(heard, heard.instance)):
            self._take(heard, heard.instance, None if fresh else heard.silent_seconds)
            return is_newer
        elif lease is not None and not fresh:
            # A renewal is a sign of life of the instance, in whichever version the peer knows it. So ours can be told
            # again where it is the newer one and was not heard of since a restart.
            self._prolong_to(lease, heard.silent_seconds)
        if lease is not None and override_changed and self._looks_otherwise(lease):
            self._show(lease, lease.instance, Action.MODIFIED, "overridden, as another server says", local=False)
        self._unbury(name)
        return is_newer

    def _merge_override(self, name: Name, heard: Override | None) -> tuple[bool, bool]:
        """Whether the override changed by that, and whether ours is the newer one."""
        ours = self._overrides.get(name)
        if heard is None or (ours is not None and ours.stamp > heard.stamp):
            return False, ours is not None
        self._stamps.saw(heard.stamp)
        if ours is not None and ours.stamp == heard.stamp and (heard.buried or not ours.buried):
            return False, False
        self._overrides[name] = heard
        return True, False

    def _take(self, heard: State, instance: Instance, silent_seconds: float | None) -> None:
        name = (heard.app, heard.key)
        known = self._leases.get(heard.app, {}).get(heard.key)
        since = (known.renewed_at, known.renewed_ms, known.heard_at) if known is not None else (_NEVER, 0, _NEVER)
        lease = Lease(instance, heard.own_status, heard.version, heard.owner, *since)
        if silent_seconds is None:
            lease.renewed_at, lease.renewed_ms = self.clock.monotonic_seconds(), self.clock.wall_ms()
        else:
            self._prolong_to(lease, silent_seconds)
        self._graves.pop(name, None)
        self._evictions.pop(name, None)
        action = Action.ADDED if known is None else Action.MODIFIED
        self._show(lease, instance, action, "registered, as another server says", local=False)
        self._unbury(name)

    def _is_alive(self, heard: State, instance: Instance) -> bool:
        """Whether one that is not registered here is worth taking: its lease holds, and we did not see it end."""
        if heard.silent_seconds > instance.lease.duration_seconds * self._lease_factor:
            return False
        evicted = self._evictions.get((heard.app, heard.key))
        if evicted is None or evicted.version != heard.version:
            return True
        return self.clock.monotonic_seconds() - heard.silent_seconds > evicted.last_sign_at

    def _unbury(self, name: Name) -> None:
        """An override that counts for a living instance is not over."""
        override, lease = self._overrides.get(name), self._leases.get(name[0], {}).get(name[1])
        if override is not None and override.buried and lease is not None and override.applies_to(lease.version):
            self._overrides[name] = Override(override.status, override.stamp)

    def _prolong_to(self, lease: Lease, silent_seconds: float) -> None:
        at = self.clock.monotonic_seconds() - silent_seconds
        lease.heard_at = max(lease.heard_at, at)
        if at > lease.renewed_at:
            lease.renewed_at, lease.renewed_ms = at, self.clock.wall_ms() - round(silent_seconds * 1000)

    # -- what is remembered

    def _names(self) -> set[Name]:
        living = {(app, key) for app, leases in self._leases.items() for key in leases}
        return living | self._graves.keys() | self._overrides.keys()

    def _state(self, name: Name, now: float, *, run_out: bool) -> State | None:
        app, key = name
        lease, override = self._leases.get(app, {}).get(key), self._overrides.get(name)
        if lease is not None and (run_out or self._can_be_told(lease, now)):
            silent = lease.silent_seconds(now) if run_out else now - lease.heard_at
            return State(app, key, lease.version, lease.instance, lease.own_status, lease.owner, silent, override)
        grave = self._graves.get(name)
        if grave is None and override is None:
            return None
        version = grave.version if grave is not None else NOTHING
        return State(app, key, version, None, Status.UNKNOWN, None, 0.0, override)

    def _known_version(self, name: Name) -> Version:
        lease = self._leases.get(name[0], {}).get(name[1])
        if lease is not None:
            return lease.version
        grave = self._graves.get(name)
        return grave.version if grave is not None else NOTHING

    def _bury(self, lease: Lease) -> None:
        """Remember a departure by its own word, and end its override."""
        name, stamp = lease.name, self._stamps.next()
        self._graves[name] = _Grave(Version(lease.version.dirty_ms, stamp), self.clock.monotonic_seconds())
        if name in self._overrides:
            self._overrides[name] = Override(None, stamp)

    def _remember_eviction(self, lease: Lease, last_sign_at: float) -> None:
        self._evictions[lease.name] = _Eviction(lease.version, last_sign_at, self.clock.monotonic_seconds())
        override = self._overrides.get(lease.name)
        if override is not None and override.status is not None:
            self._overrides[lease.name] = Override(override.status, override.stamp, buried=True)

    def _forget(self, now: float) -> None:
        """Drop memories that no peer can need any more."""
        for name, grave in list(self._graves.items()):
            if now - grave.at > _MEMORY_SECONDS:
                del self._graves[name]
        for name, eviction in list(self._evictions.items()):
            if now - eviction.at > _MEMORY_SECONDS:
                del self._evictions[name]
        for name in list(self._overrides):
            app, key = name
            if key not in self._leases.get(app, {}) and name not in self._graves and name not in self._evictions:
                del self._overrides[name]

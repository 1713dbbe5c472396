"""What clients and the sweeper do to the leases, by Eureka's rules. Pure; the clock is passed in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from discovery_server.errors import NoSuchInstance, TakenByAnother

from .clock import Clock
from .instance import Action, Instance, Status
from .leases import Lease, Name
from .preservation import Judgement, PreservationRules, Pulse, judge
from .replica import LEFT, Replica
from .state import SERVING, Override, Version

# After a pause this long between two sweeps (the process was stopped, the machine slept) nobody was heard, and clients
# may have given up a heartbeat: nobody is evicted who had not the time for another one since.
_STALL_SECONDS = 5.0
_TURN_INTERVALS = 1.5


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at the leases did."""

    evicted: tuple[Instance, ...] = ()
    preserved: tuple[Instance, ...] = ()  # ran out, and are kept since too many did at once


class RenewalListener(Protocol):
    def __call__(self, app: str, key: str, /) -> None: ...


class Registry(Replica):
    """A registry that clients register with.

    `by` names who asks, for the record; `replicated` says that it was another server, which tells all others itself.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        server_id: str = "",
        preservation: PreservationRules | None = None,
        delta_retention_seconds: float = 180.0,
        lease_factor: float = 1.0,
    ) -> None:
        """`lease_factor`: how many durations a lease lasts; 2 is Eureka's way."""
        super().__init__(
            clock,
            server_id=server_id,
            delta_retention_seconds=delta_retention_seconds,
            lease_factor=lease_factor,
        )
        self.preservation = preservation or PreservationRules()
        self.on_renewal: list[RenewalListener] = []
        self.kept: Mapping[Name, str] = {}  # whose lease ran out, and why they stay
        self._swept_at = self.clock.monotonic_seconds()
        self._listening_since = float("-inf")  # when a standstill of this process ended

    # -- what clients do

    def register(self, instance: Instance, *, owner: str | None = None, replicated: bool = False) -> Instance:
        """Take an instance in, or take it anew; answers it as it is now registered.

        Where an instance that changed later is known already, that one stays, with a fresh lease. Overrides survive
        (promise D4). Raises TakenByAnother where another principal's instance lives under this id.
        """
        name = app, key = instance.app, instance.key
        known = self._leases.get(app, {}).get(key)
        if known is not None and None not in (owner, known.owner) and known.owner != owner:
            raise TakenByAnother(f"{key} of {app} was registered by {known.owner}.")
        now_ms = self.clock.wall_ms()
        if instance.last_dirty_ms is None:
            # Not older than what is known: another server's clock, or ours before it was set back, stamped that.
            instance = replace(instance, last_dirty_ms=max(now_ms, known.instance.dirty_ms if known is not None else 0))
        if known is not None and known.instance.dirty_ms > instance.dirty_ms:
            kept, own_status = known.instance, known.own_status
        else:
            kept, own_status = instance, self._own_status(instance, known, replicated=replicated)
        lease_info = replace(
            kept.lease,
            registered_ms=now_ms,
            renewed_ms=now_ms,
            evicted_ms=0,
            up_since_ms=known.instance.lease.up_since_ms if known is not None else 0,
        )
        kept = replace(kept, lease=lease_info)
        version = Version(max(kept.dirty_ms, self._known_version(name).dirty_ms), self._stamps.next())
        lease = Lease(
            kept,
            own_status,
            version,
            owner or (known.owner if known is not None else None),
            now := self.clock.monotonic_seconds(),
            now_ms,
            heard_at=now,
        )
        if kept.overridden_status is not Status.UNKNOWN and self._override_of(lease) is None:
            self._overrides[name] = Override(kept.overridden_status, self._stamps.next())
        self._graves.pop(name, None)
        self._evictions.pop(name, None)
        return self._show(lease, kept, Action.ADDED, "registered", local=not replicated, by=owner)

    def renew(self, app: str, key: str, *, dirty_ms: int | None = None, replicated: bool = False) -> Instance:
        """Prolong a lease by one duration; answers the instance as it is known here.

        Raises NoSuchInstance where the client has to register (again): there is no lease, the status is UNKNOWN since
        an override was removed, or the client has changed after it last registered (`dirty_ms`).
        """
        lease = self._lease(app, key)
        instance = lease.instance
        if instance.status is Status.UNKNOWN:
            raise NoSuchInstance(f"The status of {key} is not known: register again.")
        self._prolong(lease)
        if not replicated:
            for heard in self.on_renewal:
                heard(instance.app, key)
        if dirty_ms is not None and dirty_ms > instance.dirty_ms:
            raise NoSuchInstance(f"{key} has changed since it registered: register again.")
        return instance

    def cancel(self, app: str, key: str, *, by: str | None = None, replicated: bool = False) -> Instance:
        """End a lease, and forget its override. Raises NoSuchInstance."""
        lease = self._lease(app, key)
        self._bury(lease)
        return self._take_out(lease, LEFT, local=not replicated, by=by)

    def override_status(
        self,
        app: str,
        key: str,
        status: Status,
        *,
        dirty_ms: int | None = None,
        by: str | None = None,
        replicated: bool = False,
    ) -> None:
        """Give an instance a status that its own registrations can't undo (promise D4). Raises NoSuchInstance."""
        lease = self._lease(app, key)
        self._prolong(lease)
        if lease.instance.status is status:
            return  # as in Eureka: what an instance says of itself is not made an override
        own_status = lease.own_status if lease.own_status in SERVING else status
        self._restate(lease, own_status, status, dirty_ms, f"overridden with {status}", local=not replicated, by=by)

    def remove_override(
        self,
        app: str,
        key: str,
        status: Status,
        *,
        dirty_ms: int | None = None,
        by: str | None = None,
        replicated: bool = False,
    ) -> None:
        """Take an override away and set a status, usually UNKNOWN, so that the client registers again.

        Does nothing where there is no override. Raises NoSuchInstance.
        """
        lease = self._lease(app, key)
        self._prolong(lease)
        if self._override_of(lease) is None:
            return
        self._restate(lease, status, None, dirty_ms, "no longer overridden", local=not replicated, by=by)

    def change_metadata(self, app: str, key: str, pairs: Mapping[str, str], *, replicated: bool = False) -> None:
        """Set entries of an instance's metadata, and register it anew with them. Raises NoSuchInstance."""
        lease = self._lease(app, key)
        metadata = {**lease.instance.metadata, **pairs}
        self.register(replace(lease.instance, status=lease.own_status, metadata=metadata), replicated=replicated)

    # -- what the server itself does

    def sweep(self) -> Sweep:
        """Evict what has run out (promises D2, D3), and forget what nobody needs to know any more."""
        now = self.clock.monotonic_seconds()
        if now - self._swept_at > _STALL_SECONDS:
            self._listening_since = now
        self._swept_at = now
        self._forget_changes_before(now - self._delta_retention_seconds)
        self._forget(now)
        expired = [
            lease for lease in self._all_leases() if self._has_run_out(lease, now) and self._had_its_turn(lease, now)
        ]
        judgement = judge(self.pulses(), self.preservation) if expired else Judgement()
        self.kept = {lease.name: why for lease in expired if (why := judgement.why_kept(*lease.name)) is not None}
        evicted = []
        for lease in expired:
            if lease.name not in self.kept:
                silent, duration = lease.silent_seconds(now), lease.instance.lease.duration_seconds * self._lease_factor
                self._remember_eviction(lease, last_sign_at=lease.heard_at)
                why = f"ran out: no renewal for {silent:.0f} s, its lease is {duration:g} s"
                evicted.append(self._take_out(lease, why, local=False))
        return Sweep(evicted=tuple(evicted), preserved=self.preserved)

    @property
    def preserved(self) -> tuple[Instance, ...]:
        """The instances that ran out and are kept, as of the last sweep."""
        leases = (self._leases.get(app, {}).get(key) for app, key in self.kept)
        return tuple(lease.instance for lease in leases if lease is not None)

    def evict(self, app: str, key: str, why: str) -> Instance:
        """Drop an instance that is known to be dead. Peers find out for themselves. Raises NoSuchInstance."""
        lease = self._lease(app, key)
        self._remember_eviction(lease, last_sign_at=self.clock.monotonic_seconds())
        return self._take_out(lease, why, local=False)

    def keep_alive(self, app: str, key: str) -> None:
        """Prolong a lease for another sign of life than a renewal. Raises NoSuchInstance."""
        self._prolong(self._lease(app, key))

    def pulses(self) -> Iterator[Pulse]:
        """Every instance's sign of life."""
        now = self.clock.monotonic_seconds()
        for lease in self._all_leases():
            info = lease.instance.lease
            yield Pulse(
                *lease.name,
                lease.silent_seconds(now),
                info.renewal_interval_seconds,
                info.duration_seconds * self._lease_factor,
            )

    # -- how it is done

    def _had_its_turn(self, lease: Lease, now: float) -> bool:
        """Whether a renewal would have been heard by now, had this process stood still until lately."""
        info = lease.instance.lease
        turn_seconds = min(_TURN_INTERVALS * info.renewal_interval_seconds, info.duration_seconds)
        return now - self._listening_since > turn_seconds

    def _own_status(self, instance: Instance, known: Lease | None, *, replicated: bool) -> Status:
        """What the instance's status would be without an override, by Eureka's rules in their order.

        One that says it is not ready is believed. Else the known status stays if it is UP or OUT_OF_SERVICE: who was
        drained does not come back by registering. Else what the instance says. Another server has decided that before.
        """
        if instance.status not in SERVING or known is None or replicated or self._override_of(known) is not None:
            return instance.status
        return known.instance.status if known.instance.status in SERVING else instance.status

    def _restate(
        self,
        lease: Lease,
        own_status: Status,
        overridden: Status | None,
        dirty_ms: int | None,
        why: str,
        *,
        local: bool,
        by: str | None,
    ) -> None:
        instance = replace(lease.instance, last_dirty_ms=max(lease.instance.dirty_ms, dirty_ms or 0))
        stamp = self._stamps.next()
        self._overrides[lease.name] = Override(overridden, stamp)
        lease.own_status = own_status
        lease.version = Version(max(lease.version.dirty_ms, instance.dirty_ms), stamp)
        self._show(lease, instance, Action.MODIFIED, why, local=local, by=by, may_come_up=overridden is not None)

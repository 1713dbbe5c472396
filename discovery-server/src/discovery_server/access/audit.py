"""The audit log: who registered, changed, took out of service or cancelled what, from where, and who was refused."""

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from chassis.logs import log_context

from discovery_server.metrics import REFUSALS
from discovery_server.registry.clock import Clock
from discovery_server.registry.instance import Action, Instance, Status
from discovery_server.registry.leases import Event, Name
from discovery_server.registry.replica import LEFT, LEFT_ELSEWHERE

from .access import Principal

# Whatever the level of the other logs is, these lines are written.
logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

_REMEMBERED = 1_000
_MOST_REFUSED = 10_000
_SILENCE_MS = 60_000
_LONGEST_TEXT = 300
# All but its stamps, which are new each time, and what is compared in another way.
_CONTENT = [
    field.name
    for field in fields(Instance)
    if field.name not in ("last_updated_ms", "last_dirty_ms", "action", "overridden_status", "lease")
]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a change, and from where."""

    principal: Principal
    address: str

    @classmethod
    def of(cls, principal: Principal, scope: Mapping[str, Any]) -> "Asker":
        return cls(principal, address_of(scope))


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. Nothing secret is in it: of metadata, the keys only; of a credential, a known name."""

    number: int
    at: str
    action: str
    by: str | None  # None: nobody was asked, or it was the server itself
    address: str
    request_id: str
    app: str | None
    instance: str | None
    what: Mapping[str, Any]


class Audit:
    """Keeps the last entries, logs every one, and hands it on as a line of JSON.

    A registration that says again what is known is no entry: a client that loses its lease does that all day long.
    """

    def __init__(self, clock: Clock, *, write_line: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._write_line = write_line
        self._entries: deque[Entry] = deque(maxlen=_REMEMBERED)
        self._number = 0
        self._registered: dict[Name, tuple[Instance, str]] = {}  # as it came last, and from which address
        self._refused: OrderedDict[tuple[str, str | None, str | None, int], tuple[int, int]] = OrderedDict()

    def newest_first(self, *, app: str | None = None, before: int | None = None) -> Iterator[Entry]:
        """The entries that are remembered; those of an application, those before a number."""
        for entry in reversed(self._entries):
            if (app is None or entry.app == app.upper()) and (before is None or entry.number < before):
                yield entry

    def remember(self, instances: Iterable[Instance]) -> None:
        """Who is registered before anybody has asked: out of a snapshot, whose entries are of an earlier run."""
        self._registered.update({(instance.app, instance.key): (instance, "") for instance in instances})

    # -- what was done

    def registered(self, asker: Asker, sent: Instance) -> None:
        """An instance was taken in as it was sent: it is new, or changed, or comes from another address than before."""
        name = (sent.app, sent.key)
        known, address = self._registered.get(name, (None, ""))
        if address == "" and asker.principal.is_peer:
            known = None  # this is the very registration that was heard of a moment ago
        self._registered[name] = (sent, asker.address)
        changed = [] if known is None else _changed(known, sent)
        shown: dict[str, Any] = {"host": sent.host_name, "ip": sent.ip_address, "status": sent.status}
        if known is None:
            self._note("registered", asker, *name, shown)
        elif address not in ("", asker.address):
            self._note("taken over", asker, *name, {**shown, "from_address": address, "changed": changed})
        elif changed:
            self._note("changed", asker, *name, {**shown, "changed": changed})

    def cancelled(self, asker: Asker, instance: Instance) -> None:
        self._note("cancelled", asker, instance.app, instance.key, {"host": instance.host_name})

    def overridden(self, asker: Asker, app: str, key: str, status: Status) -> None:
        self._note("overridden", asker, app.upper(), key, {"status": status})

    def override_removed(self, asker: Asker, app: str, key: str, status: Status) -> None:
        self._note("override removed", asker, app.upper(), key, {"status": status})

    def metadata_changed(self, asker: Asker, app: str, key: str, pairs: Mapping[str, str]) -> None:
        name = (app.upper(), key)
        if (known := self._registered.get(name)) is not None:
            instance, address = known
            self._registered[name] = (replace(instance, metadata={**instance.metadata, **pairs}), address)
        self._note("metadata changed", asker, *name, {"keys": sorted(pairs)})

    def replicated(self, asker: Asker, changes: Mapping[str, int]) -> None:
        """A batch of another server's, by how often it did what; a batch that changed nothing is no entry."""
        if changes:
            self._write("replicated", asker.principal.name or None, asker.address, None, None, changes)

    def heard(self, event: Event) -> None:
        """A change in the registry, for what nobody asked for: an instance that was dropped."""
        name = (event.instance.app, event.instance.key)
        if event.instance.action is not Action.DELETED:
            if not event.local and self._registered.get(name, (None, ""))[1] == "":
                self._registered[name] = (event.instance, "")  # from a peer, which has the entry, or a snapshot
            return
        self._registered.pop(name, None)
        if event.why not in (LEFT, LEFT_ELSEWHERE):
            self._note("dropped", None, *name, {"why": event.why})

    def refused(self, address: str, by: str | None, app: str | None, status: int, what: Mapping[str, Any]) -> None:
        """A 401 or a 403: an entry at once, then one a minute at most, which says how many there were since.

        For each address, principal and application; `app` is one that there is, so that nobody makes many of them up.
        """
        REFUSALS.labels(str(status)).inc()
        key, now = (address, by, app, status), self._clock.wall_ms()
        said_at, unsaid = self._refused.get(key, (None, 0))
        is_due = said_at is None or not 0 <= now - said_at < _SILENCE_MS  # a clock that was set back hides nothing
        self._refused[key] = (now, 0) if is_due or said_at is None else (said_at, unsaid + 1)
        self._refused.move_to_end(key)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)
        if is_due:
            self._write("refused", by, address, app, None, {"status": status, **what, "times": unsaid + 1})

    def _note(self, action: str, asker: Asker | None, app: str, key: str, what: Mapping[str, Any]) -> None:
        by = asker.principal.name or None if asker is not None else None
        self._write(action, by, asker.address if asker is not None else "", app, key, what)

    def _write(
        self, action: str, by: str | None, address: str, app: str | None, key: str | None, what: Mapping[str, Any]
    ) -> None:
        self._number += 1
        context = log_context.get() or {}
        entry = Entry(
            number=self._number,
            at=datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC).isoformat(timespec="milliseconds"),
            action=action,
            by=by,
            address=address,
            request_id=shortened(context.get("request_id", "")) if address else "",
            app=app and shortened(app),
            instance=key and shortened(key),
            what=what,
        )
        self._entries.append(entry)
        written = asdict(entry)
        logger.log(logging.WARNING if action == "refused" else logging.INFO, "audit: %s", action, extra=written)
        if self._write_line is not None:
            self._write_line(json.dumps(written))


def address_of(scope: Mapping[str, Any]) -> str:
    """The address at the other end of a connection."""
    client = scope.get("client")
    return shortened(str(client[0])) if client else "unknown"


def _changed(known: Instance, sent: Instance) -> list[str]:
    changed = [field for field in _CONTENT if getattr(known, field) != getattr(sent, field)]
    lease, sent_lease = known.lease, sent.lease
    if (lease.renewal_interval_seconds, lease.duration_seconds) != (
        sent_lease.renewal_interval_seconds,
        sent_lease.duration_seconds,
    ):
        changed.append("lease")
    return changed


def shortened(text: str) -> str:
    """A text that somebody sent, as long as an entry may have it."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"

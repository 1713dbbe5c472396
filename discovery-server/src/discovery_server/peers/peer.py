"""One other server: hears what changes here within milliseconds, and once an interval both compare everything."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from discovery_server.metrics import (
    PEER_AGREES,
    PEER_FAILURES,
    PEER_LAG,
    PEER_PENDING,
    PEER_ROUND_TRIP,
    PEER_STATES,
    PEER_UP,
)
from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import State

from . import eureka_peer
from .address import PeerAddress
from .client import PageRefused, PeerAway, PeerClient, PeerUnlike
from .exchange import ItIsMe, Outcome, exchange, tell
from .exchange_wire import Renewal

logger = logging.getLogger(__name__)

_GATHERING_SECONDS = 0.02  # a change waits for others that come right behind it
_RENEWALS_SECONDS = 1.0  # between two messages about renewals
_FIRST_PAUSE_SECONDS = 0.2
_WAITING_SECONDS = 1.0  # between exchanges while no peer that knows everything was heard

Kind = Literal["discovery-server", "eureka", "unknown"]


def renewals_pause_seconds(interval_seconds: float) -> float:
    """The time between two messages about renewals."""
    return min(_RENEWALS_SECONDS, interval_seconds / 2)


@dataclass(frozen=True, slots=True)
class PeerView:
    """How it stands with a peer."""

    url: str  # without a password
    kind: Kind
    server_id: str | None
    reachable: bool
    problem: str | None  # why it is not reachable
    last_contact_seconds: float | None  # since its last answer
    pending: int  # changes and renewals that it has not heard of
    lag_seconds: float  # the age of the oldest change among them
    digests_agree: bool | None  # at the last comparison; None: there was none, or it can't be
    round_trip_seconds: float | None


class Peer:
    """One other server: what it has to hear, and how it is doing."""

    def __init__(self, address: PeerAddress, registry: Registry, *, interval_seconds: float) -> None:
        self.address = address
        self.is_myself = False
        self.was_heard = asyncio.Event()  # all that it knows was taken, at a time when it knew everything
        self._registry = registry
        self._interval_seconds = interval_seconds
        self._renewals_seconds = renewals_pause_seconds(interval_seconds)
        # An attempt and the pause after it take an interval at most, so that a peer that is back is met within one.
        self._longest_pause_seconds = min(5.0, interval_seconds / 2)
        self._timeout_seconds = min(5.0, max(1.0, interval_seconds / 2))
        self._changed: dict[Name, float] = {}  # and since when, by the loop's clock
        self._renewed: set[Name] = set()
        self._woken = asyncio.Event()
        self._is_telling = False
        self._has_turned = asyncio.Event()
        self._exchange_at = 0.0
        self._renewals_at = 0.0
        self._pause_seconds = 0.0  # 0 while it is there
        self._problem: str | None = "not met yet"
        self._kind: Kind = "unknown"
        self._server_id: str | None = None
        self._answered_at: float | None = None
        self._agrees: bool | None = None
        self._round_trip_seconds: float | None = None

    # -- what happens here

    def note_change(self, name: Name) -> None:
        """It has to hear of this instance."""
        self._changed.setdefault(name, time.monotonic())
        if len(self._changed) == 1:
            self._woken.set()

    def note_renewals(self, names: Iterable[Name]) -> None:
        """It has to hear that these were renewed."""
        self._renewed.update(names)
        self._woken.set()

    async def tell_the_last(self) -> None:
        """Wait until it has heard of all changes, unless it is away."""
        while self._problem is None and not self.is_myself and (self._changed or self._is_telling):
            self._has_turned.clear()
            await self._has_turned.wait()

    def view(self) -> PeerView:
        now = time.monotonic()
        return PeerView(
            url=self.address.url,
            kind=self._kind,
            server_id=self._server_id,
            reachable=self._problem is None,
            problem=self._problem,
            last_contact_seconds=None if self._answered_at is None else round(now - self._answered_at, 3),
            pending=len(self._changed) + len(self._renewed),
            lag_seconds=round(self._lag_seconds(), 3),
            digests_agree=self._agrees,
            round_trip_seconds=self._round_trip_seconds,
        )

    # -- what is done about it

    async def run(self) -> None:
        """Tell it, and compare with it, for ever, or until it turns out to be this server itself."""
        self._exchange_at = 0.0  # the first thing, also where this was ended by a mistake and is started anew
        async with PeerClient(self.address, timeout_seconds=self._timeout_seconds) as client:
            while not self.is_myself:
                self._measure()
                await self._wait_until_due()
                await self._turn(client)
        self._measure()

    async def _wait_until_due(self) -> None:
        while (wait := self._due_at() - time.monotonic()) > 0:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait)

    def _due_at(self) -> float:
        due = [self._exchange_at]
        if self._problem is None:
            if self._changed:
                due.append(next(iter(self._changed.values())) + _GATHERING_SECONDS)
            if self._renewed:
                due.append(self._renewals_at)
        return min(due)

    async def _turn(self, client: PeerClient) -> None:
        self._is_telling = True
        try:
            if time.monotonic() >= self._exchange_at:
                await self._compare(client)
            else:
                await self._tell(client)
        except ItIsMe:
            logger.info("the peer %s is this server itself and is left out", self.address.name)
            self.is_myself = True
            self.was_heard.set()
        except (PeerAway, PeerUnlike, PageRefused) as error:
            self._is_away(str(error))
        finally:
            self._is_telling = False
            self._has_turned.set()
        self._round_trip_seconds = client.round_trip_seconds

    async def _compare(self, client: PeerClient) -> None:
        """Push and pull everything; to a Eureka server, what it has not heard."""
        self._exchange_at = time.monotonic() + self._interval_seconds
        changed, self._changed = self._changed, {}
        try:
            outcome = await exchange(self._registry, client)
            if outcome.differed:  # look whether it helped
                self._count(outcome)
                outcome = await exchange(self._registry, client)
            self._agrees = not outcome.differed
        except PeerUnlike:
            self._changed = changed | self._changed
            await self._meet_eureka(client)
            return
        except Exception:
            self._changed = changed | self._changed
            raise
        self._kind = "discovery-server"
        self._is_there(outcome)
        if outcome.complete:
            self.was_heard.set()
        elif not self.was_heard.is_set():
            self._exchange_at = time.monotonic() + min(_WAITING_SECONDS, self._interval_seconds)

    async def _meet_eureka(self, client: PeerClient) -> None:
        """It knows no digests. What it knows itself is copied once."""
        if not self.was_heard.is_set():
            copied = await eureka_peer.copy_all(self._registry, client)
            logger.info("copied %d instances from %s, a Eureka server", copied, self.address.name)
            self.was_heard.set()
        self._kind, self._agrees = "eureka", None
        if self._changed or self._problem is not None:
            await self._tell(client)  # if only to see whether it takes our batches
        self._is_there(Outcome())

    async def _tell(self, client: PeerClient) -> None:
        """Send what changed, and what was renewed if it is time."""
        changed, self._changed = self._changed, {}
        renewed: set[Name] = set()
        if time.monotonic() >= self._renewals_at:
            renewed, self._renewed = self._renewed, set()
            self._renewals_at = time.monotonic() + self._renewals_seconds
        states, outcome = self._states_of(changed), Outcome()
        renewals = [state for state in self._states_of(renewed - changed.keys()) if state.instance is not None]
        try:
            if self._kind == "eureka":
                await eureka_peer.tell_eureka(self._registry, client, states, renewals, outcome)
            else:
                await tell(self._registry, client, states, [_renewal(state) for state in renewals], outcome)
        except Exception:
            self._changed, self._renewed = changed | self._changed, renewed | self._renewed
            raise
        for name in outcome.unknown:
            self.note_change(name)
        self._is_there(outcome)

    def _states_of(self, names: Iterable[Name]) -> list[State]:
        return [state for name in names if (state := self._registry.state(*name)) is not None]

    # -- how it is doing

    def _is_there(self, outcome: Outcome) -> None:
        now = time.monotonic()
        if self._problem is not None:
            logger.info("the peer %s is there, a %s", self.address.name, self._kind)
        if outcome.server and outcome.server != self._server_id:
            if self._server_id is not None:
                self._exchange_at = now  # it was started anew, and may have forgotten everything
            self._server_id = outcome.server
        self._problem, self._pause_seconds, self._answered_at = None, 0.0, now
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        PEER_STATES.labels(self.address.name, "sent").inc(outcome.sent)
        PEER_STATES.labels(self.address.name, "taken").inc(outcome.taken)

    def _is_away(self, why: str) -> None:
        if self._problem is None or (self._answered_at is None and self._problem != why):
            logger.warning("the peer %s is away: %s", self.address.name, why)
        PEER_FAILURES.labels(self.address.name).inc()
        self._problem = why
        longest = self._longest_pause_seconds
        self._pause_seconds = min(max(self._pause_seconds * 2, _FIRST_PAUSE_SECONDS), longest)
        # Half of it at random: servers that lost each other at the same time don't come back at the same time.
        # What failed is made up for by an exchange, which tells everything.
        self._exchange_at = time.monotonic() + self._pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311
        self._forget_the_unknown()

    def _forget_the_unknown(self) -> None:
        """What is no longer known here needs not be told: this never outgrows the registry, however long it takes."""
        self._changed = {name: at for name, at in self._changed.items() if self._registry.state(*name) is not None}
        self._renewed = {name for name in self._renewed if self._registry.state(*name) is not None}

    def _lag_seconds(self) -> float:
        oldest = next(iter(self._changed.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def _measure(self) -> None:
        name = self.address.name
        measured = {
            PEER_UP: float(self._problem is None),
            PEER_AGREES: self._agrees,
            PEER_PENDING: len(self._changed) + len(self._renewed),
            PEER_LAG: self._lag_seconds(),
            PEER_ROUND_TRIP: self._round_trip_seconds,
        }
        for gauge, value in measured.items():
            if value is not None and not self.is_myself:
                gauge.labels(name).set(value)
            else:
                gauge.remove(name)


def _renewal(state: State) -> Renewal:
    return state.app, state.key, state.version, state.silent_seconds

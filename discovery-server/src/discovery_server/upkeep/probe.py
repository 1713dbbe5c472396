"""Asks instances whose renewal is overdue whether they live: what refuses leaves at once, what answers stays."""

import asyncio
import logging
from dataclasses import dataclass

from discovery_server.errors import NoSuchInstance
from discovery_server.metrics import EVICTIONS, PROBES
from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry

from .health_check import HealthCheck, Outcome, ProbeRules

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5  # between two looks at who is overdue
_MOST_AT_ONCE = 64
_REFUSALS = 2  # one may be a process that is being started again
_NOTICEABLE_SECONDS = 0.01  # a sign of life that much later than the last one known is another one


@dataclass(slots=True)
class _Suspect:
    """One whose renewal was overdue, until it renews. All times are the steady clock's."""

    renewed_at: float
    last_sign_at: float  # that renewal, or an answer that prolonged the lease
    asked_at: float = float("-inf")
    outcome: Outcome | None = None
    refusals: int = 0  # in a row


class Prober:
    """Asks the `healthCheckUrl` of instances that are overdue, those that are preserved among them.

    Two connections refused in a row end a registration; a 2xx prolongs the lease, unless the last renewal is too long
    ago; anything else says nothing.
    """

    def __init__(self, registry: Registry, rules: ProbeRules) -> None:
        self.rules = rules
        self._registry = registry
        self._health_check = HealthCheck(timeout_seconds=rules.timeout_seconds, own_machine=rules.own_machine)
        self._suspects: dict[Name, _Suspect] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look and ask, again and again; to be run as a supervised task."""
        try:
            while True:
                self._look()
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            for task in self._asking:
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)

    def finding(self, app: str, key: str) -> Outcome | None:
        """What an overdue instance's health check said last; None: it was not asked, or has renewed since."""
        suspect = self._suspects.get((app, key))
        return suspect.outcome if suspect is not None else None

    def _look(self) -> None:
        """Find out who is overdue, and ask those that were not asked for the longest time."""
        now = self._registry.clock.monotonic_seconds()
        suspects: dict[Name, _Suspect] = {}
        due = []
        for pulse in self._registry.pulses():
            name, sign_at = (pulse.app, pulse.key), now - pulse.silent_seconds
            suspect = self._suspects.get(name)
            if suspect is not None and sign_at > suspect.last_sign_at + _NOTICEABLE_SECONDS:
                suspect = None  # it has renewed
            if suspect is None and pulse.is_silent:
                suspect = _Suspect(sign_at, sign_at)
            if suspect is not None:
                suspects[name] = suspect
                if pulse.is_silent and now - suspect.asked_at >= self.rules.interval_seconds:
                    due.append((suspect.asked_at, name))
        self._suspects = suspects
        for _, name in sorted(due)[: _MOST_AT_ONCE - len(self._asking)]:
            suspects[name].asked_at = now
            task = asyncio.create_task(self._ask(name, suspects[name]))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, name: Name, suspect: _Suspect) -> None:
        try:
            outcome = await self._health_check.ask(self._registry.instance(*name))
            if outcome is None:
                return
            PROBES.labels(outcome).inc()
            self._judge(name, suspect, outcome)
        except NoSuchInstance:
            return  # it has left meanwhile

    def _judge(self, name: Name, suspect: _Suspect, outcome: Outcome) -> None:
        """Raises NoSuchInstance."""
        now = self._registry.clock.monotonic_seconds()
        if now - self._registry.silent_seconds(*name) > suspect.last_sign_at + _NOTICEABLE_SECONDS:
            return  # it has renewed meanwhile
        suspect.outcome = outcome
        suspect.refusals = suspect.refusals + 1 if outcome is Outcome.REFUSED else 0
        app, key = name
        unrenewed_seconds = now - suspect.renewed_at
        if outcome is Outcome.ANSWERED and unrenewed_seconds <= self.rules.keep_seconds:
            if suspect.last_sign_at == suspect.renewed_at:
                logger.info("%s of %s does not renew, but its health check answers: it stays", key, app)
            self._registry.keep_alive(app, key)
            suspect.last_sign_at = now
        elif suspect.refusals >= _REFUSALS:
            why = f"refused {_REFUSALS} connections to its health check, {unrenewed_seconds:.0f} s after it renewed"
            self._registry.evict(app, key, why)
            EVICTIONS.labels(app, "refused").inc()
            logger.warning("%s of %s is dropped: it %s", key, app, why)

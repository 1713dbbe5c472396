"""What is measured of a server, from its start to its stop."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chassis.testing.bench.load import Caller, Load, percentile
from chassis.testing.bench.outcome import Outcome, outcome_of
from chassis.testing.bench.processes import Server

from .asking import FORMS, stands_in, until_body
from .fetching import Fetches, fetch_repeatedly
from .fleet import APPLICATIONS, GUEST, INSTANCES, NAMES, override, registration, renewal
from .news import kill_one, see_one
from .servers import CLIENTS_PROCESSOR, FORGETTING_SECONDS, OURS, RETENTION_SECONDS, headers_of, running

CONNECTIONS = 16
_ALL, _DELTA = "/eureka/apps", "/eureka/apps/delta"
_SHORT_BYTES = 1_000_000  # a tenth of what all instances take


@dataclass(frozen=True)
class Effort:
    """How much is asked. What comes in the warm-up is not counted: Java compiles as it goes."""

    rounds: int
    warmup_seconds: float
    seconds: float
    fetches: int
    changes: int
    arrivals: int


FULL = Effort(3, 5, 5, 100, 100, 5)
QUICK = Effort(1, 1, 2, 20, 100, 3)


@dataclass
class Round:
    """One life of a server."""

    start_seconds: float
    at_rest_bytes: int
    registrations: Outcome | None = None
    renewals: Outcome | None = None
    fetches: dict[tuple[str, str], Fetches] = field(default_factory=dict)
    """By what is fetched and in which form."""
    filled_bytes: int = 0
    at_end_bytes: int = 0
    seen_in_list_seconds: list[float] = field(default_factory=list)
    seen_in_stream_seconds: list[float] = field(default_factory=list)
    """From the registration of an instance; empty where there is no stream."""
    killed_seconds: float = 0.0
    """From `kill -9` to a 404."""
    faults: list[str] = field(default_factory=list)


def measure(name: str, eureka: Path | None, effort: Effort, tell: Callable[[str], None]) -> Round:
    """Raises CannotStart, and LoadFailed if the clients do not come through."""
    with running(name, eureka) as server:
        found = Round(server.start_seconds, server.memory_bytes())
        reader = headers_of(name, NAMES[0])
        tell(f"{name}: {INSTANCES:,} register")
        found.registrations = asyncio.run(_register_all(name, server, found))
        has_all = partial(stands_in, f"UP_{INSTANCES}_".encode())
        for form in FORMS:  # Eureka keeps each for itself, and for half a minute
            asyncio.run(until_body(server, _ALL, reader, has_all, "all instances", form=form))
        registered_at = time.monotonic()
        tell(f"{name}: renewals")
        found.renewals = _renew(name, server, effort, found)
        tell(f"{name}: everything, fetched")
        _fetch(server, reader, _ALL, effort, found)
        found.filled_bytes = server.memory_bytes()
        tell(f"{name}: from kill -9 to gone")
        found.killed_seconds = kill_one(server, headers_of(name, GUEST))
        tell(f"{name}: from registered to seen")
        asyncio.run(_see_arrivals(name, server, effort, found))
        tell(f"{name}: until the delta is empty again")
        time.sleep(max(0.0, registered_at + RETENTION_SECONDS + FORGETTING_SECONDS - time.monotonic()))
        asyncio.run(_change_some(name, server, effort))
        tell(f"{name}: the delta, fetched")
        _fetch(server, reader, _DELTA, effort, found)
        found.at_end_bytes = server.memory_bytes()
    return found


async def _register_all(name: str, server: Server, found: Round) -> Outcome:
    headers = [headers_of(name, app) for app in NAMES]
    waiting = iter([registration(number, headers[number % APPLICATIONS]) for number in range(INSTANCES)])
    latencies_ns: list[int] = []

    async def register_some() -> None:
        caller = await Caller.connected(server.port)
        for wanted in waiting:
            begun = time.perf_counter_ns()
            head, _ = await caller.ask(wanted)
            latencies_ns.append(time.perf_counter_ns() - begun)
            if head[9:12] != b"204":
                found.faults.append(f"a registration: {head[:40]!r}")
        await caller.aclose()

    used, own, begun = server.processor_seconds(), time.process_time(), time.monotonic()
    await asyncio.gather(*(register_some() for _ in range(CONNECTIONS)))
    seconds = time.monotonic() - begun
    return Outcome(
        INSTANCES / seconds,
        percentile(latencies_ns, 0.5) / 1e6,
        percentile(latencies_ns, 0.99) / 1e6,
        (server.processor_seconds() - used) / INSTANCES * 1e6,
        (time.process_time() - own) / seconds,
    )


def _renew(name: str, server: Server, effort: Effort, found: Round) -> Outcome:
    headers = [headers_of(name, app) for app in NAMES]
    requests = [renewal(number, headers[number % APPLICATIONS]) for number in range(INSTANCES)]
    load = Load(
        server.port, requests, b"200", b"", CONNECTIONS, effort.warmup_seconds, effort.seconds, CLIENTS_PROCESSOR
    )
    return outcome_of(load, server, found.faults)


def _fetch(server: Server, reader: Mapping[str, str], path: str, effort: Effort, found: Round) -> None:
    for form, headers in FORMS.items():
        fetches = fetch_repeatedly(
            server, path, {**reader, **headers}, times=effort.fetches, unmeasured=max(2, effort.fetches // 5)
        )
        found.fetches[path, form] = fetches
        found.faults += fetches.faults


async def _change_some(name: str, server: Server, effort: Effort) -> None:
    """Instances are put out of service, and the delta tells of them and of hardly anything else."""
    caller = await Caller.connected(server.port)
    for number in range(effort.changes):
        await caller.ask(override(number, "OUT_OF_SERVICE", headers_of(name, NAMES[number % APPLICATIONS])))
    await caller.aclose()
    hash_code = f"OUT_OF_SERVICE_{effort.changes}_".encode()

    def has_these(body: bytes) -> bool:
        return hash_code in body and len(body) < _SHORT_BYTES

    for form in FORMS:
        await until_body(server, _DELTA, headers_of(name, NAMES[0]), has_these, "the new changes alone", form=form)


async def _see_arrivals(name: str, server: Server, effort: Effort, found: Round) -> None:
    guest = headers_of(name, GUEST)
    for number in range(effort.arrivals):
        in_stream, in_list = await see_one(server, f"guest-{number}", guest, has_stream=name == OURS)
        found.seen_in_list_seconds.append(in_list)
        if in_stream is not None:
            found.seen_in_stream_seconds.append(in_stream)

"""What is measured of a broker, from its start to its stop, and how one load goes through it."""

import math
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from . import asyncio_clients, librdkafka
from .brokers import Broker, Memory, running
from .ledger import Faults
from .load import Load, Read, Sent
from .worker import Gate, started

PARTITIONS = 3
SERVICE_TOPICS, SERVICE_GROUPS, SERVICE_RATE = 4, 6, 2000


class Shape(NamedTuple):
    """Who writes, and how large the records are."""

    client: str
    producers: int
    record_bytes: int


class Clients(NamedTuple):
    produce: Callable[[Gate, str, Load], Sent]
    read: Callable[[Gate, str, str, Load], Read]


CLIENTS = {
    "librdkafka": Clients(librdkafka.produce, librdkafka.read),
    "aiokafka": Clients(asyncio_clients.produce, asyncio_clients.read),
}
SHAPES = [
    *(Shape("librdkafka", producers, size) for size in (100, 10 * 1024) for producers in (1, 4, 16)),
    Shape("aiokafka", 1, 100),
]


@dataclass(frozen=True)
class Effort:
    """How much is sent.

    The first load warms up the broker (Java compiles as it goes), and the first seconds at a rate warm up the clients
    (a producer gets its id, connections are made): neither is timed.
    """

    rounds: int
    small_records: int
    large_records: int
    delay_rate: int
    delay_seconds: int
    services_seconds: int
    warmup_seconds: int

    def records_of(self, shape: Shape) -> int:
        if shape.client == "aiokafka":
            return self.small_records // 4  # it is the slowest part by far
        return self.small_records if shape.record_bytes < 1024 else self.large_records


FULL = Effort(3, 600_000, 20_000, 1000, 2, 20, 1)
QUICK = Effort(1, 200_000, 5_000, 1000, 1, 5, 1)


@dataclass(frozen=True)
class Outcome:
    """How a load went through, over all groups together."""

    records_per_second: float
    p50_ms: float
    p99_ms: float
    highest_ms: float
    faults: Faults
    failed: Sequence[str]


@dataclass
class Round:
    """One life of a broker."""

    version: str
    start_seconds: float
    at_rest: Memory
    services: dict[str, Outcome] = field(default_factory=dict)
    services_processor: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time used by the broker in a second."""
    speeds: dict[Shape, Outcome] = field(default_factory=dict)
    delays: dict[Shape, Outcome] = field(default_factory=dict)
    at_end: Memory = field(default_factory=lambda: Memory(0, 0))

    def outcomes(self) -> list[Outcome]:
        return [*self.services.values(), *self.speeds.values(), *self.delays.values()]


def measure(name: str, effort: Effort, tell: Callable[[str], None]) -> Round:
    """Raises CannotStart, and WorkerFailed if a client does not come through."""
    with running(name) as broker:
        found = Round(broker.version, broker.start_seconds, broker.memory())
        warmup = _load("warmup", SHAPES[0], effort.records_of(SHAPES[0]))
        run(broker.bootstrap, SHAPES[0].client, warmup)
        for shape in SHAPES:
            tell(f"{name}: {shape.client}, {shape.producers} × {shape.record_bytes} B")
            speed = _load("speed", shape, effort.records_of(shape))
            delay = replace(
                _load("delay", shape, effort.delay_rate * (effort.warmup_seconds + effort.delay_seconds)),
                rate=effort.delay_rate,
                warmup_seconds=effort.warmup_seconds,
            )
            found.speeds[shape] = run(broker.bootstrap, shape.client, speed)
            found.delays[shape] = run(broker.bootstrap, shape.client, delay)
        for client in CLIENTS:
            tell(f"{name}: {client}, {SERVICE_GROUPS} groups")
            _measure_services(broker, client, effort, found)
        found.at_end = broker.memory()
    return found


def _load(kind: str, shape: Shape, records: int) -> Load:
    return Load(
        topics=(f"{kind}-{shape.client}-{shape.producers}-{shape.record_bytes}",),
        partitions=PARTITIONS,
        producers=shape.producers,
        record_bytes=shape.record_bytes,
        records=records,
    )


def _measure_services(broker: Broker, client: str, effort: Effort, found: Round) -> None:
    """Four services say, six hear everything: each group reads all topics, as one process."""
    load = Load(
        topics=tuple(f"services-{client}-{index}" for index in range(SERVICE_TOPICS)),
        partitions=PARTITIONS,
        producers=SERVICE_TOPICS,
        record_bytes=100,
        records=SERVICE_RATE * (effort.warmup_seconds + effort.services_seconds),
        rate=SERVICE_RATE,
        warmup_seconds=effort.warmup_seconds,
    )
    used_before, began = 0.0, 0.0

    def note_begin() -> None:
        nonlocal used_before, began
        used_before, began = broker.processor_seconds(), time.monotonic()

    found.services[client] = run(broker.bootstrap, client, load, groups=SERVICE_GROUPS, on_begin=note_begin)
    used = broker.processor_seconds() - used_before
    found.services_processor[client] = used / (time.monotonic() - began)


def run(
    bootstrap: str, client: str, load: Load, *, groups: int = 1, on_begin: Callable[[], None] | None = None
) -> Outcome:
    """Every group reads all records while they are written."""
    clients = CLIENTS[client]
    librdkafka.create_topics(bootstrap, load)
    with ExitStack() as stack:
        names = [f"{load.topics[0]}-{index}" for index in range(groups)]
        readers = [stack.enter_context(started(clients.read, bootstrap, name, load)) for name in names]
        writer = stack.enter_context(started(clients.produce, bootstrap, load))
        for reader in readers:
            reader.until_ready()
        writer.until_ready()
        if on_begin:
            on_begin()
        writer.begin()
        sent = writer.result()
        reads = [reader.result() for reader in readers]
    latencies_ns = array("q", sorted(latency for each in reads for latency in each.latencies_ns))
    return Outcome(
        load.records / (max(each.last_ns for each in reads) - sent.begun_ns) * 1e9,
        _percentile(latencies_ns, 0.5) / 1e6,
        _percentile(latencies_ns, 0.99) / 1e6,
        _percentile(latencies_ns, 1.0) / 1e6,
        sum((each.faults for each in reads), Faults()),
        sent.failed,
    )


def _percentile(ascending: Sequence[int], share: float) -> float:
    """The nearest rank; not a number if nothing came."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else math.nan

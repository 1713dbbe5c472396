"""What is sent: how many records of which size, by how many producers, at full speed or at a rate."""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from .ledger import Faults, Ledger

# When it was sent (CLOCK_MONOTONIC, the same in all processes of a machine), which stream, and its number there.
_STAMP = struct.Struct(">qii")


@dataclass(frozen=True, kw_only=True)
class Load:
    topics: tuple[str, ...]
    partitions: int
    producers: int
    record_bytes: int
    records: int
    rate: int | None = None
    """Records a second of all producers together; None is as fast as they can."""
    warmup_seconds: float = 0
    """Latencies of the records sent in the first seconds are not counted; their loss is."""

    @property
    def streams(self) -> int:
        """A producer's records in one partition are one stream, in whose order they must come."""
        return self.producers * len(self.topics) * self.partitions

    def places(self) -> Iterator[tuple[int, str, int, int, int]]:
        """Producer, topic, partition, stream and number of each record: every producer goes round all partitions."""
        places = [(topic, partition) for partition in range(self.partitions) for topic in self.topics]
        for index in range(self.records):
            turn, producer = divmod(index, self.producers)
            number, place = divmod(turn, len(places))
            yield producer, *places[place], producer * len(places) + place, number

    def value(self, sent_ns: int, stream: int, number: int) -> bytes:
        return _STAMP.pack(sent_ns, stream, number).ljust(self.record_bytes, b".")


@dataclass
class Sent:
    """What a process of producers tells."""

    begun_ns: int
    failed: list[str] = field(default_factory=list)


@dataclass
class Read:
    """What a group's reader tells."""

    faults: Faults
    last_ns: int
    latencies_ns: "array[int]"  # the class can't be subscripted before Python 3.12


class Reading:
    """What one group has read so far."""

    def __init__(self, load: Load) -> None:
        self._ledger = Ledger(load.streams, load.records)
        self._latencies_ns = array("q")
        self._sent_ns = array("q")
        self._warmup_ns = int(load.warmup_seconds * 1e9)
        self._last_ns = 0

    @property
    def complete(self) -> bool:
        return not self._ledger.missing

    def note(self, value: bytes, now_ns: int) -> None:
        sent_ns, stream, number = _STAMP.unpack_from(value)
        if not self.complete:
            self._last_ns = now_ns
        self._ledger.note(stream, number)
        self._sent_ns.append(sent_ns)
        self._latencies_ns.append(now_ns - sent_ns)

    def result(self) -> Read:
        counted_from_ns = min(self._sent_ns, default=0) + self._warmup_ns
        sent_and_latency = zip(self._sent_ns, self._latencies_ns, strict=True)
        latencies = array("q", (latency for sent, latency in sent_and_latency if sent >= counted_from_ns))
        return Read(self._ledger.faults(), self._last_ns, latencies)

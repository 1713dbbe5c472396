"""What the tests ask of a Kafka client, so that they can be the same for two that were written independently."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from .records import Record, Stored

TAKE_SECONDS = 15
SESSION_MS = 30_000
"""Of a group's member: so long that nobody is taken for crashed by accident."""

HEARTBEAT_MS = 100
"""How soon a member hears of a rebalance."""


class Refused(Exception):
    """The broker, or the client before it asks, said no, with one of Kafka's error codes."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with error code {code}")
        self.code = code


class ThrownOut(Exception):
    """A member's commit failed because it is a member no more, or not of this generation."""


class OffsetOutOfRange(Exception):
    """The offset to read from is not in the log, and the reader has no rule for that."""


@dataclass(frozen=True)
class Config:
    value: str
    is_the_topics: bool
    """Rather than a default of the broker."""


@dataclass(frozen=True)
class DescribedMember:
    id: str
    client_id: str
    partitions: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class DescribedGroup:
    state: str
    """Kafka's word for it, in small letters and with nothing between: stable, empty, preparingrebalance, dead."""
    members: tuple[DescribedMember, ...]


class Producer(ABC):
    @abstractmethod
    async def send(self, topic: str, *records: Record, partition: int | None = None) -> list[tuple[int, int]]:
        """Partition and offset of each, once all are acknowledged. Raises Refused."""


class Reader(ABC):
    """Reads one partition, without a group."""

    @abstractmethod
    async def poll(self, seconds: float) -> list[Stored]:
        """What there is, or comes in that time. Raises OffsetOutOfRange."""

    async def take(self, count: int) -> list[Stored]:
        """So many records, or a failure. Raises OffsetOutOfRange."""
        return await _taken(self, count)


class Member(ABC):
    """Of a group."""

    client_id: str

    @abstractmethod
    async def poll(self, seconds: float) -> list[Stored]: ...

    @abstractmethod
    async def assignment(self) -> frozenset[tuple[str, int]]: ...

    @abstractmethod
    async def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Raises ThrownOut."""

    @abstractmethod
    async def leave(self) -> None:
        """Does nothing the second time."""

    async def take(self, count: int) -> list[Stored]:
        """So many records, or a failure."""
        return await _taken(self, count)


async def _taken(source: Reader | Member, count: int) -> list[Stored]:
    records: list[Stored] = []
    async with asyncio.timeout(TAKE_SECONDS):
        while len(records) < count:
            records += await source.poll(0.1)
    assert len(records) == count
    return records


class Client(ABC):
    name: str

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    # Topics

    @abstractmethod
    async def create_topic(
        self, name: str, partitions: int = 1, *, replication: int = 1, configs: Mapping[str, str] | None = None
    ) -> None:
        """Raises Refused."""

    @abstractmethod
    async def delete_topic(self, name: str) -> None:
        """Raises Refused."""

    @abstractmethod
    async def partitions(self) -> dict[str, int]:
        """Of all topics."""

    @abstractmethod
    async def configs(self, topic: str) -> dict[str, Config]:
        """Raises Refused."""

    # Records

    @abstractmethod
    def producer(
        self, *, codec: str = "none", idempotent: bool = False, acks: int | str = "all", linger_ms: int = 5
    ) -> AbstractAsyncContextManager[Producer]: ...

    @abstractmethod
    def reader(
        self,
        topic: str,
        offset: int,
        *,
        partition: int = 0,
        reset: str = "none",
        min_bytes: int = 1,
        max_wait_ms: int = 100,
        max_bytes: int = 1024 * 1024,
    ) -> AbstractAsyncContextManager[Reader]:
        """`reset` is where to go if the offset is not there: earliest, latest or none. `max_bytes` is a partition's."""

    async def produce(
        self,
        topic: str,
        *records: Record,
        partition: int | None = None,
        codec: str = "none",
        idempotent: bool = False,
        acks: int | str = "all",
    ) -> list[tuple[int, int]]:
        """With a producer of its own. Raises Refused."""
        async with self.producer(codec=codec, idempotent=idempotent, acks=acks) as producer:
            return await producer.send(topic, *records, partition=partition)

    async def read(self, topic: str, count: int, *, partition: int = 0, offset: int = 0) -> list[Stored]:
        """With a reader of its own."""
        async with self.reader(topic, offset, partition=partition) as reader:
            return await reader.take(count)

    @abstractmethod
    async def beginning_offset(self, topic: str, partition: int = 0) -> int: ...

    @abstractmethod
    async def end_offset(self, topic: str, partition: int = 0) -> int: ...

    @abstractmethod
    async def offset_at(self, topic: str, timestamp_ms: int, partition: int = 0) -> tuple[int, int] | None:
        """Offset and timestamp of the first record of that time or later."""

    # Groups

    @abstractmethod
    async def member(self, group: str, *topics: str, strategy: str = "range", session_ms: int = SESSION_MS) -> Member:
        """Begins to join, and to read at the beginning; that goes on while it is polled.

        The strategy is range or roundrobin.
        """

    @abstractmethod
    async def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """For each partition, by somebody who is no member. Raises Refused.

        Without metadata: confluent-kafka 2.16 adds a zero byte when it writes it, and reads it beyond its end.
        """

    @abstractmethod
    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int | None]: ...

    @abstractmethod
    async def groups(self) -> set[str]: ...

    @abstractmethod
    async def describe_group(self, group: str) -> DescribedGroup: ...

    @abstractmethod
    async def delete_group(self, group: str) -> None:
        """Raises Refused."""

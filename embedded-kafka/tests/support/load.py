"""Producers and group members that go on while the broker is killed, and what the broker has acknowledged to them."""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from .structs import Peer
from .waiting import until

Place = tuple[str, int]  # topic and partition

_AT_ONCE = 10
_PAUSE_SECONDS = 0.004  # or there would be more than can be checked
_SECONDS = 20  # that a record may take, and so be sent again: far longer than the broker is ever away
_IMPATIENT = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "retry.backoff.ms": 10, "log_level": 0}


class Writer(ABC):
    """Writes its name and rising numbers, to one place after the other, and never two batches at once to a place."""

    def __init__(self, name: str, bootstrap: str, places: list[Place], *, idempotent: bool) -> None:
        self.name, self.idempotent = name, idempotent
        self.sent = 0
        self.acknowledged: dict[tuple[str, int, int], bytes] = {}
        """By topic, partition and offset."""
        self.failures: list[str] = []
        self._bootstrap, self._places = bootstrap, places

    @abstractmethod
    async def run(self, stop: threading.Event) -> None:
        """Until it is stopped and everything has been acknowledged."""

    def next_records(self) -> list[tuple[str, int, bytes]]:
        numbers = range(self.sent, self.sent + _AT_ONCE)
        self.sent += _AT_ONCE
        return [
            (*self._places[number % len(self._places)], b"%s %d" % (self.name.encode(), number)) for number in numbers
        ]


class AioWriter(Writer):
    async def run(self, stop: threading.Event) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=self.idempotent,
            retry_backoff_ms=20,
            request_timeout_ms=_SECONDS * 1000,
            max_batch_size=400,
        )
        async with producer:
            while not stop.is_set():
                records = self.next_records()
                sent = [await producer.send(topic, value, partition=index) for topic, index, value in records]
                for (_, _, value), done in zip(records, await asyncio.gather(*sent), strict=True):
                    self.acknowledged[done.topic, done.partition, done.offset] = value
                await asyncio.sleep(_PAUSE_SECONDS)


class ConfluentWriter(Writer):
    async def run(self, stop: threading.Event) -> None:
        await asyncio.to_thread(self._run, stop)

    def _run(self, stop: threading.Event) -> None:
        one_at_a_time = {} if self.idempotent else {"max.in.flight.requests.per.connection": 1}
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "enable.idempotence": self.idempotent,
                "message.timeout.ms": _SECONDS * 1000,
                "batch.num.messages": 5,
                "linger.ms": 1,
                **one_at_a_time,
                **_IMPATIENT,
            }
        )
        while not stop.is_set():
            for topic, index, value in self.next_records():
                producer.produce(topic, value, partition=index, on_delivery=self._delivered)
            producer.flush(_SECONDS)
            stop.wait(_PAUSE_SECONDS)

    def _delivered(self, error: Any, message: Message) -> None:
        if error is not None:
            self.failures.append(f"{self.name}: {error}")
            return
        topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        assert isinstance(value, bytes)
        self.acknowledged[topic, partition, offset] = value


class Commits:
    """What a group's members have heard to be committed."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.acknowledged: dict[Place, int] = {}

    def add(self, topic: str, partition: int, offset: int) -> None:
        self.acknowledged[topic, partition] = max(offset, self.acknowledged.get((topic, partition), 0))


async def read_with_aiokafka(commits: Commits, bootstrap: str, topics: list[str], stop: threading.Event) -> None:
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=commits.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=2000,
        heartbeat_interval_ms=100,
        retry_backoff_ms=20,
    )
    async with consumer:
        while not stop.is_set():
            if not (found := await consumer.getmany(timeout_ms=50)):
                continue
            offsets = {partition: records[-1].offset + 1 for partition, records in found.items()}
            with contextlib.suppress(KafkaError):  # the group has moved on: somebody will read it again
                await consumer.commit(offsets)
                for partition, offset in offsets.items():
                    commits.add(partition.topic, partition.partition, offset)


async def read_with_confluent(commits: Commits, bootstrap: str, topics: list[str], stop: threading.Event) -> None:
    await asyncio.to_thread(_read_with_confluent, commits, bootstrap, topics, stop)


def _read_with_confluent(commits: Commits, bootstrap: str, topics: list[str], stop: threading.Event) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": commits.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 2000,
            "heartbeat.interval.ms": 100,
            **_IMPATIENT,
        }
    )
    consumer.subscribe(topics)
    try:
        while not stop.is_set():
            offsets: dict[Place, int] = {}
            for message in consumer.consume(100, 0.05):
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                if not message.error() and topic is not None and partition is not None and offset is not None:
                    offsets[topic, partition] = offset + 1
            if not offsets:
                continue
            with contextlib.suppress(KafkaException):
                wanted = [ConfluentPartition(*place, offset) for place, offset in offsets.items()]
                for done in consumer.commit(offsets=wanted, asynchronous=False) or []:
                    if done.error is None:
                        commits.add(done.topic, done.partition, done.offset)
    finally:
        consumer.close()


class TopicMaker:
    """Creates topics and deletes every other one."""

    def __init__(self, bootstrap: str) -> None:
        self.there: set[str] = set()
        self.gone: set[str] = set()
        self._bootstrap = bootstrap

    async def run(self, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                async with await Peer.connect(self._bootstrap) as peer:
                    while not stop.is_set() and number < 100:
                        number += 1
                        await self._make(peer, f"made-{number}", kept=number % 2 == 0)
            await asyncio.sleep(0.05)  # the broker is away, or there are enough

    async def _make(self, peer: Peer, name: str, *, kept: bool) -> None:
        await peer.create_topic(name, partitions=2)
        if kept:
            self.there.add(name)
            return
        await peer.delete_topic(name)
        self.gone.add(name)


class Load:
    """Everything at once, for some topics."""

    def __init__(self, bootstrap: str, partitions: dict[str, int]) -> None:
        self.places = [(topic, index) for topic, count in partitions.items() for index in range(count)]
        self.writers: list[Writer] = [
            kind(f"{kind.__name__}-{index}", bootstrap, self.places, idempotent=idempotent)
            for kind in (AioWriter, ConfluentWriter)
            for index, idempotent in enumerate((True, True, False))
        ]
        self.commits = [Commits("aio"), Commits("confluent")]
        self.topic_maker = TopicMaker(bootstrap)
        self._stop = threading.Event()
        self._bootstrap, self._topics = bootstrap, list(partitions)

    async def __aenter__(self) -> "Load":
        """Once everybody has begun: a client whose first connection fails gives up."""
        readers = [(read_with_aiokafka, 0), (read_with_aiokafka, 0), (read_with_confluent, 1)]
        runs = [writer.run(self._stop) for writer in self.writers]
        runs += [read(self.commits[group], self._bootstrap, self._topics, self._stop) for read, group in readers]
        self._tasks = [asyncio.create_task(run) for run in [*runs, self.topic_maker.run(self._stop)]]
        busy = [writer.acknowledged for writer in self.writers] + [commits.acknowledged for commits in self.commits]
        await until(lambda: all(busy) or any(task.done() for task in self._tasks))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Also when the test has failed; the threads end by themselves."""
        self._stop.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Once everything that was sent is acknowledged."""
        self._stop.set()
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*self._tasks)

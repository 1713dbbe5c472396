"""The rest of the fleet, as far as its events go: says to a service what others would, and hears what it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.ids import uuid7
from chassis.kafka import Kafka
from chassis.messages import Envelope
from chassis.settings import ServiceSettings


class TopicListener:
    """Everything that is on some topics from when it was started, as it arrives."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._heard: list[Envelope] = []
        self._arrived = asyncio.Condition()

    async def listen(self) -> None:
        async for record in self._consumer:
            envelope = Envelope.from_record(
                topic=record.topic, key=record.key, headers=record.headers, value=record.value
            )
            async with self._arrived:
                self._heard.append(envelope)
                self._arrived.notify_all()

    def of(self, key: object) -> list[Envelope]:
        """What was heard under this key so far, in order."""
        wanted = str(key)
        return [envelope for envelope in self._heard if envelope.key == wanted]

    async def wait_for(
        self, type_: str, key: object, *, count: int = 1, timeout_seconds: float = 10.0
    ) -> dict[str, Any]:
        """The data of the `count`-th event of this type under this key. Raises TimeoutError with what came instead."""
        try:
            async with asyncio.timeout(timeout_seconds), self._arrived:
                while True:
                    found = [envelope for envelope in self.of(key) if envelope.type == type_]
                    if len(found) >= count:
                        data: dict[str, Any] = found[count - 1].json()
                        return data
                    await self._arrived.wait()
        except TimeoutError:
            heard = [envelope.type for envelope in self.of(key)]
            raise TimeoutError(
                f"no {type_} (number {count}) under {key} within {timeout_seconds} s, but {heard}"
            ) from None


class Neighbours:
    """Says events as other services would, over a real broker."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def say(
        self,
        type_: str,
        *,
        topic: str,
        key: object,
        data: dict[str, Any] | None = None,
        event_id: UUID | None = None,
        value: bytes | None = None,
    ) -> UUID:
        """Tell one event, `data` as JSON or `value` as it is; its id."""
        event_id = event_id or uuid7()
        envelope = Envelope(
            id=event_id,
            type=type_,
            source="/test",
            key=str(key),
            time=datetime.now(UTC),
            correlation_id=str(key),
            causation_id=None,
            trace={},
            topic=topic,
            data=value if value is not None else json.dumps(data, default=str).encode(),
        )
        producer = await self._kafka.producer()
        await producer.send_and_wait(topic, value=envelope.data, key=envelope.key.encode(), headers=envelope.headers())
        return event_id


@asynccontextmanager
async def listening(settings: ServiceSettings, topics: Iterable[str]) -> AsyncIterator[TopicListener]:
    """Hear these topics (made if need be) from now on."""
    kafka = Kafka(settings)
    names = list(topics)
    await kafka.ensure_topics(names)
    producer = await kafka.producer()
    consumer = kafka.consumer(group=None)
    await kafka.start(consumer)
    consumer.assign([TopicPartition(name, number) for name in names for number in await producer.partitions_for(name)])
    await consumer.seek_to_end()
    listener = TopicListener(consumer)
    task = asyncio.create_task(listener.listen())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
        await kafka.aclose()


@asynccontextmanager
async def neighbours(settings: ServiceSettings, topics: Iterable[str]) -> AsyncIterator[Neighbours]:
    """Somebody to say events to these topics (made if need be)."""
    kafka = Kafka(settings)
    await kafka.ensure_topics(topics)
    try:
        yield Neighbours(kafka)
    finally:
        await kafka.aclose()

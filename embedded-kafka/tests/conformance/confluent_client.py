"""confluent-kafka (librdkafka) as a client of the tests; its blocking calls are made in threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Producer as ConfluentKafkaProducer
from confluent_kafka import admin as confluent_kafka_admin

from .client import (
    HEARTBEAT_MS,
    SESSION_MS,
    Client,
    Config,
    DescribedGroup,
    DescribedMember,
    Member,
    OffsetOutOfRange,
    Producer,
    Reader,
    Refused,
    ThrownOut,
)
from .names import ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, fresh_name
from .records import Record, Stored

admin: Any = confluent_kafka_admin  # its hints don't export what its documentation does

_FLUSH_SECONDS = 15
_MOST_MESSAGES = 10_000

Result = TypeVar("Result")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise Refused(error.args[0].code()) from error


async def _result(future: "Future[Result]") -> Result:
    """Raises Refused."""
    with _refusals():
        return await asyncio.wrap_future(future)


def _stored(messages: Iterable[Message]) -> list[Stored]:
    stored = []
    for each in messages:
        error = each.error()
        if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise OffsetOutOfRange(error.str())
        if error is not None:
            raise KafkaException(error)
        headers: Any = each.headers() or []
        place: Any = (each.partition(), each.offset())
        stored.append(Stored(each.value(), each.key(), tuple(headers), each.timestamp()[1], *place))
    return stored


class ConfluentProducer(Producer):
    def __init__(self, producer: ConfluentKafkaProducer) -> None:
        self._producer = producer

    async def send(self, topic: str, *records: Record, partition: int | None = None) -> list[tuple[int, int]]:
        places: list[Any] = [None] * len(records)
        errors: list[KafkaError] = []

        def noted(index: int) -> Callable[[KafkaError | None, Message], None]:
            def note(error: KafkaError | None, message: Message) -> None:
                if error:
                    errors.append(error)
                places[index] = (message.partition(), message.offset())

            return note

        with _refusals():
            for index, each in enumerate(records):
                options: dict[str, Any] = {"headers": list(each.headers), "on_delivery": noted(index)}
                if each.timestamp_ms is not None:
                    options["timestamp"] = each.timestamp_ms
                if partition is not None:
                    options["partition"] = partition
                self._producer.produce(topic, each.value, each.key, **options)
            assert await asyncio.to_thread(self._producer.flush, _FLUSH_SECONDS) == 0
            if errors:
                raise KafkaException(errors[0])
        return places


class ConfluentReader(Reader):
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def poll(self, seconds: float) -> list[Stored]:
        return await _polled(self._consumer, seconds)


async def _polled(consumer: Consumer, seconds: float) -> list[Stored]:
    """`consume` waits for as many messages as it may give: so first for one, then for those that are there already."""
    first = await asyncio.to_thread(consumer.consume, 1, seconds)
    return _stored(first + (consumer.consume(_MOST_MESSAGES, 0) if first else []))


class ConfluentMember(Member):
    def __init__(self, consumer: Consumer, client_id: str) -> None:
        self._consumer: Consumer | None = consumer
        self.client_id = client_id

    async def poll(self, seconds: float) -> list[Stored]:
        assert self._consumer
        return await _polled(self._consumer, seconds)

    async def assignment(self) -> frozenset[tuple[str, int]]:
        assert self._consumer
        return frozenset((each.topic, each.partition) for each in self._consumer.assignment())

    async def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        assert self._consumer
        places = [TopicPartition(topic, each, offset) for each, offset in offsets.items()]
        try:
            await asyncio.to_thread(self._consumer.commit, offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in (ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS):
                raise ThrownOut from error
            raise

    async def leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer:
            await asyncio.to_thread(consumer.close)


class ConfluentClient(Client):
    name = "confluent"

    async def start(self) -> None:
        self._admin = admin.AdminClient({"bootstrap.servers": self.bootstrap})

    async def stop(self) -> None:
        del self._admin

    async def create_topic(
        self, name: str, partitions: int = 1, *, replication: int = 1, configs: Mapping[str, str] | None = None
    ) -> None:
        topic = admin.NewTopic(name, partitions, replication, config=dict(configs or {}))
        await _result(self._admin.create_topics([topic])[name])

    async def delete_topic(self, name: str) -> None:
        await _result(self._admin.delete_topics([name])[name])

    async def partitions(self) -> dict[str, int]:
        metadata = await asyncio.to_thread(self._admin.list_topics, timeout=10)
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    async def configs(self, topic: str) -> dict[str, Config]:
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic)
        found = await _result(self._admin.describe_configs([resource])[resource])
        of_the_topic = admin.ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {name: Config(entry.value, entry.source == of_the_topic) for name, entry in found.items()}

    @asynccontextmanager
    async def producer(
        self, *, codec: str = "none", idempotent: bool = False, acks: int | str = "all", linger_ms: int = 5
    ) -> AsyncIterator[Producer]:
        producer = ConfluentKafkaProducer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "enable.idempotence": idempotent,
                "acks": str(acks),
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",  # Kafka's own; librdkafka's default is another
            }
        )
        yield ConfluentProducer(producer)

    @asynccontextmanager
    async def reader(
        self,
        topic: str,
        offset: int,
        *,
        partition: int = 0,
        reset: str = "none",
        min_bytes: int = 1,
        max_wait_ms: int = 100,
        max_bytes: int = 1024 * 1024,
    ) -> AsyncIterator[Reader]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": fresh_name("nobody"),  # librdkafka wants one, and never says it: nothing is committed
                "enable.auto.commit": False,
                "auto.offset.reset": "error" if reset == "none" else reset,
                "fetch.min.bytes": min_bytes,
                "fetch.wait.max.ms": max_wait_ms,
                "max.partition.fetch.bytes": max_bytes,
            }
        )
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            yield ConfluentReader(consumer)
        finally:
            await asyncio.to_thread(consumer.close)

    async def beginning_offset(self, topic: str, partition: int = 0) -> int:
        return (await self._listed(topic, partition, admin.OffsetSpec.earliest()))[0]

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        return (await self._listed(topic, partition, admin.OffsetSpec.latest()))[0]

    async def offset_at(self, topic: str, timestamp_ms: int, partition: int = 0) -> tuple[int, int] | None:
        found = await self._listed(topic, partition, admin.OffsetSpec.for_timestamp(timestamp_ms))
        return found if found[0] >= 0 else None

    async def _listed(self, topic: str, partition: int, wanted: Any) -> tuple[int, int]:
        place = TopicPartition(topic, partition)
        found = await _result(self._admin.list_offsets({place: wanted})[place])
        return found.offset, found.timestamp

    async def member(self, group: str, *topics: str, strategy: str = "range", session_ms: int = SESSION_MS) -> Member:
        client_id = fresh_name("member")
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "client.id": client_id,
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": HEARTBEAT_MS,
                "fetch.wait.max.ms": 100,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "partition.assignment.strategy": strategy,
            }
        )
        consumer.subscribe(list(topics))
        return ConfluentMember(consumer, client_id)

    async def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False})
        places = [TopicPartition(topic, each, offset) for each, offset in offsets.items()]
        try:
            with _refusals():
                for each in await asyncio.to_thread(consumer.commit, offsets=places, asynchronous=False) or []:
                    if each.error:
                        raise KafkaException(each.error)
        finally:
            await asyncio.to_thread(consumer.close)

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int | None]:
        places = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, each) for each in partitions])
        found = await _result(self._admin.list_consumer_group_offsets([places])[group])
        return {each.partition: None if each.offset < 0 else each.offset for each in found.topic_partitions or []}

    async def groups(self) -> set[str]:
        return {each.group_id for each in (await _result(self._admin.list_consumer_groups())).valid}

    async def describe_group(self, group: str) -> DescribedGroup:
        found = await _result(self._admin.describe_consumer_groups([group])[group])
        return DescribedGroup(
            found.state.name.lower().replace("_", ""),
            tuple(
                DescribedMember(
                    each.member_id,
                    each.client_id,
                    frozenset((place.topic, place.partition) for place in each.assignment.topic_partitions),
                )
                for each in found.members
            ),
        )

    async def delete_group(self, group: str) -> None:
        await _result(self._admin.delete_consumer_groups([group])[group])

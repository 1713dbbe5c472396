"""aiokafka as a client of the tests."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError, OffsetOutOfRangeError
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.protocol.group import MemberAssignment

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
from .names import NONE, fresh_name
from .records import Record, Stored

_ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
_OF_THE_TOPIC = 1


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise Refused(error.errno) from error


def _check(code: int) -> None:
    if code != NONE:
        raise Refused(code)


def _stored(found: Mapping[TopicPartition, Iterable[Any]]) -> list[Stored]:
    return [
        Stored(each.value, each.key, tuple(each.headers), each.timestamp, each.partition, each.offset)
        for records in found.values()
        for each in records
    ]


class AiokafkaProducer(Producer):
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, topic: str, *records: Record, partition: int | None = None) -> list[tuple[int, int]]:
        with _refusals():
            sent = [
                await self._producer.send(
                    topic,
                    each.value,
                    each.key,
                    partition=partition,
                    timestamp_ms=each.timestamp_ms,
                    headers=list(each.headers),
                )
                for each in records
            ]
            places = [await each for each in sent]
        return [(place.partition, place.offset) for place in places if place]  # with acks=0 nobody knows


class AiokafkaReader(Reader):
    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def poll(self, seconds: float) -> list[Stored]:
        try:
            return _stored(await self._consumer.getmany(timeout_ms=int(seconds * 1000)))
        except OffsetOutOfRangeError as error:
            raise OffsetOutOfRange from error


class AiokafkaMember(Member):
    def __init__(self, consumer: AIOKafkaConsumer, client_id: str) -> None:
        self._consumer = consumer
        self.client_id = client_id

    async def poll(self, seconds: float) -> list[Stored]:
        if not self._consumer.assignment():  # `getmany` would wait for one, however long
            await asyncio.sleep(seconds)
            return []
        return _stored(await self._consumer.getmany(timeout_ms=int(seconds * 1000)))

    async def assignment(self) -> frozenset[tuple[str, int]]:
        return frozenset((each.topic, each.partition) for each in self._consumer.assignment())

    async def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        try:
            await self._consumer.commit({TopicPartition(topic, each): offset for each, offset in offsets.items()})
        except CommitFailedError as error:
            raise ThrownOut from error

    async def leave(self) -> None:
        await self._consumer.stop()


class AiokafkaClient(Client):
    name = "aiokafka"

    async def start(self) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self._admin.start()
        self._looker = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await self._looker.start()

    async def stop(self) -> None:
        await self._looker.stop()
        await self._admin.close()

    async def create_topic(
        self, name: str, partitions: int = 1, *, replication: int = 1, configs: Mapping[str, str] | None = None
    ) -> None:
        topic = NewTopic(name, partitions, replication, topic_configs=dict(configs or {}))
        answer = await self._admin.create_topics([topic])
        [(_, error, _)] = answer.topic_errors
        _check(error)

    async def delete_topic(self, name: str) -> None:
        answer = await self._admin.delete_topics([name])
        [(_, error)] = answer.topic_error_codes
        _check(error)

    async def partitions(self) -> dict[str, int]:
        return {each["topic"]: len(each["partitions"]) for each in await self._admin.describe_topics()}

    async def configs(self, topic: str) -> dict[str, Config]:
        [answer] = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        [(error, _, _, _, entries)] = answer.resources
        _check(error)
        return {name: Config(value, source == _OF_THE_TOPIC) for name, value, _, source, _, _ in entries}

    @asynccontextmanager
    async def producer(
        self, *, codec: str = "none", idempotent: bool = False, acks: int | str = "all", linger_ms: int = 5
    ) -> AsyncIterator[Producer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            acks=acks,
            linger_ms=linger_ms,
        )
        await producer.start()
        try:
            yield AiokafkaProducer(producer)
        finally:
            await producer.stop()

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
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset=reset,
            fetch_min_bytes=min_bytes,
            fetch_max_wait_ms=max_wait_ms,
            max_partition_fetch_bytes=max_bytes,
        )
        await consumer.start()
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            consumer.seek(place, offset)
            yield AiokafkaReader(consumer)
        finally:
            await consumer.stop()

    async def beginning_offset(self, topic: str, partition: int = 0) -> int:
        place = TopicPartition(topic, partition)
        return int((await self._looker.beginning_offsets([place]))[place])

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        place = TopicPartition(topic, partition)
        return int((await self._looker.end_offsets([place]))[place])

    async def offset_at(self, topic: str, timestamp_ms: int, partition: int = 0) -> tuple[int, int] | None:
        place = TopicPartition(topic, partition)
        found = (await self._looker.offsets_for_times({place: timestamp_ms}))[place]
        return None if found is None else (found.offset, found.timestamp)

    async def member(self, group: str, *topics: str, strategy: str = "range", session_ms: int = SESSION_MS) -> Member:
        client_id = fresh_name("member")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            client_id=client_id,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            fetch_max_wait_ms=100,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            partition_assignment_strategy=[_ASSIGNORS[strategy]],
        )
        await consumer.start()
        consumer.subscribe(topics)  # only now: else `start` would wait for the assignment
        return AiokafkaMember(consumer, client_id)

    async def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            places = {TopicPartition(topic, each): offset for each, offset in offsets.items()}
            consumer.assign(list(places))
            with _refusals():
                await consumer.commit(places)
        finally:
            await consumer.stop()

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int | None]:
        places = [TopicPartition(topic, each) for each in partitions]
        found = await self._admin.list_consumer_group_offsets(group, partitions=places)
        return {place.partition: None if what.offset < 0 else what.offset for place, what in found.items()}

    async def groups(self) -> set[str]:
        return {each[0] for each in await self._admin.list_consumer_groups()}

    async def describe_group(self, group: str) -> DescribedGroup:
        [answer] = await self._admin.describe_consumer_groups([group])
        [(error, _, state, _, _, members, *_)] = answer.groups
        _check(error)
        return DescribedGroup(
            state.lower(), tuple(DescribedMember(each[0], each[1], _assigned(each[4])) for each in members)
        )

    async def delete_group(self, group: str) -> None:
        # The admin client has no word for it, the protocol below it has.
        coordinator = await self._admin.find_coordinator(group)
        answer = await self._admin._send_request(DeleteGroupsRequest([group]), coordinator)
        [(_, error)] = answer.results
        _check(error)


def _assigned(assignment: bytes) -> frozenset[tuple[str, int]]:
    if not assignment:
        return frozenset()
    topics = MemberAssignment.decode(assignment).assignment
    return frozenset((topic, partition) for topic, partitions in topics for partition in partitions)

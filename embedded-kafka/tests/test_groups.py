"""What the conformance suite can't see of consumer groups: a broker that waits for members, and one that restarts."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from support.clients import Clients
from support.waiting import take

from embedded_kafka import EmbeddedKafka

# Short, so that crashes are found soon; a member learns of a rebalance with its next heartbeat.
QUICK: dict[str, Any] = {
    "session_timeout_ms": 1000,
    "heartbeat_interval_ms": 100,
    "rebalance_timeout_ms": 3000,
    "group_id": "g",
}


def partitions_of(*consumers: AIOKafkaConsumer) -> list[int]:
    return [len(consumer.assignment()) for consumer in consumers]


async def test_members_that_start_together_share_one_rebalance() -> None:
    async with EmbeddedKafka(initial_rebalance_seconds=1) as kafka:
        clients = Clients(kafka.bootstrap)
        await clients.create_topic("t", partitions=4)

        members = await asyncio.gather(*[clients.consumer("t", **QUICK) for _ in range(2)])

        assert partitions_of(*members) == [2, 2]
        assert {member._coordinator.generation for member in members} == {1}
        await clients.stop()


async def test_committed_offsets_with_their_metadata_survive_a_restart(
    tmp_path: Path, connect: Callable[[str], Awaitable[Clients]]
) -> None:
    async with EmbeddedKafka(tmp_path) as kafka:
        clients = await connect(kafka.bootstrap)
        await clients.create_topic("t", partitions=2)
        producer = await clients.producer()
        for partition in (0, 1):
            for _ in range(5):
                await producer.send_and_wait("t", b"x", partition=partition)
        consumer = await clients.consumer("t", **QUICK)
        await take(consumer, 10)
        await consumer.commit({TopicPartition("t", 0): OffsetAndMetadata(3, "half-way")})
        await consumer.commit({TopicPartition("t", 1): OffsetAndMetadata(5, "")})
        await clients.stop()

    async with EmbeddedKafka(tmp_path) as kafka:
        clients = await connect(kafka.bootstrap)
        admin = await clients.admin()
        offsets = await admin.list_consumer_group_offsets("g")
        consumer = await clients.consumer("t", **QUICK)
        records = await take(consumer, 2)

        assert offsets == {
            TopicPartition("t", 0): OffsetAndMetadata(3, "half-way"),
            TopicPartition("t", 1): OffsetAndMetadata(5, ""),
        }
        assert [(record.partition, record.offset) for record in records] == [(0, 3), (0, 4)]
        await clients.stop()


async def test_members_go_on_by_themselves_when_the_broker_was_restarted(tmp_path: Path) -> None:
    async with EmbeddedKafka(tmp_path) as kafka:
        port = int(kafka.bootstrap.rpartition(":")[2])
        clients = Clients(kafka.bootstrap)
        await clients.create_topic("t")
        consumer = await clients.consumer("t", **QUICK)
        producer = await clients.producer()
        await producer.send_and_wait("t", b"before")
        await take(consumer, 1)
        await consumer.commit()

    async with EmbeddedKafka(tmp_path, port=port):
        await producer.send_and_wait("t", b"after")
        [record] = await take(consumer, 1)
        # Memberships are not kept: this commit may still be made in the name of one that the broker does not know.
        with contextlib.suppress(CommitFailedError):
            await consumer.commit()
            await consumer.seek_to_committed()
            await producer.send_and_wait("t", b"and after that")
        [last] = await take(consumer, 1)
        await consumer.commit()

        assert (record.offset, record.value) == (1, b"after")
        assert last.offset in (1, 2)
        await clients.stop()

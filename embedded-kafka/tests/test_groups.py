"""Consumer groups with aiokafka: sharing, leaving, crashing, and what is left after a restart of the broker."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, InvalidSessionTimeoutError
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.structs import OffsetAndMetadata
from support.clients import Clients
from support.waiting import take, until

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


async def crash(consumer: AIOKafkaConsumer) -> None:
    """Its tasks end and its sockets close, and nobody says goodbye to the coordinator."""
    consumer._coordinator._maybe_leave_group = _say_nothing
    await consumer.stop()


async def _say_nothing() -> None:
    return None


async def test_two_members_share_the_partitions_and_each_record_comes_once(clients: Clients) -> None:
    await clients.create_topic("a", partitions=3)
    await clients.create_topic("b", partitions=1)
    first = await clients.consumer("a", "b", **QUICK)
    second = await clients.consumer("a", "b", **QUICK)
    await until(lambda: partitions_of(first, second) == [2, 2])
    producer = await clients.producer()

    for index in range(40):
        await producer.send("ab"[index % 2], b"%d" % index)
    await producer.flush()
    found: list[int] = []

    async def read(consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            found.append(int(record.value or b""))

    readers = [asyncio.create_task(read(consumer)) for consumer in (first, second)]
    await until(lambda: len(found) >= 40)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)

    assert sorted(found) == list(range(40))


async def test_members_that_start_together_share_one_rebalance() -> None:
    async with EmbeddedKafka(initial_rebalance_seconds=1) as kafka:
        clients = Clients(kafka.bootstrap)
        await clients.create_topic("t", partitions=4)

        members = await asyncio.gather(*[clients.consumer("t", **QUICK) for _ in range(2)])

        assert partitions_of(*members) == [2, 2]
        assert {member._coordinator.generation for member in members} == {1}
        await clients.stop()


async def test_who_leaves_hands_over_at_once(clients: Clients) -> None:
    await clients.create_topic("t", partitions=4)
    slow_to_expire = QUICK | {"session_timeout_ms": 60_000}
    first = await clients.consumer("t", **slow_to_expire)
    second = await clients.consumer("t", **slow_to_expire)
    await until(lambda: partitions_of(first, second) == [2, 2])

    await second.stop()

    await until(lambda: partitions_of(first) == [4], seconds=5)


async def test_a_crashed_member_is_found_after_its_session_and_its_records_go_to_the_other(clients: Clients) -> None:
    await clients.create_topic("t", partitions=2)
    producer = await clients.producer()
    survivor = await clients.consumer("t", **QUICK)
    victim = await clients.consumer("t", **QUICK)
    await until(lambda: partitions_of(survivor, victim) == [1, 1])
    [theirs] = victim.assignment()
    await producer.send_and_wait("t", b"read but not committed", partition=theirs.partition)
    await take(victim, 1)

    await crash(victim)
    [record] = await take(survivor, 1)

    assert record.partition == theirs.partition
    assert partitions_of(survivor) == [2]


async def test_a_member_killed_in_the_middle_of_a_rebalance_does_not_hold_it_up(clients: Clients) -> None:
    await clients.create_topic("t", partitions=2)
    sleepy = QUICK | {"heartbeat_interval_ms": 900}
    first = await clients.consumer("t", **sleepy)

    # The newcomer waits for the first member, who has not heard of the rebalance yet.
    newcomer = AIOKafkaConsumer("t", bootstrap_servers=clients.bootstrap, **QUICK)
    starting = asyncio.create_task(newcomer.start())
    admin = await clients.admin()

    async def is_in(state: str) -> bool:
        return bool((await admin.describe_consumer_groups(["g"]))[0].groups[0][2] == state)

    await until(lambda: is_in("PreparingRebalance"))
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await newcomer.stop()

    await until(lambda: is_in("Stable"), seconds=5)
    assert partitions_of(first) == [2]


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


async def test_lag_can_be_told_from_list_offsets_and_offset_fetch(clients: Clients) -> None:
    await clients.create_topic("t")
    producer = await clients.producer()
    for _ in range(10):
        await producer.send_and_wait("t", b"x")
    consumer = await clients.consumer("t", **QUICK)
    await take(consumer, 4)
    await consumer.commit()
    admin = await clients.admin()
    partition = TopicPartition("t", 0)

    committed = (await admin.list_consumer_group_offsets("g", partitions=[partition]))[partition].offset
    end = (await consumer.end_offsets([partition]))[partition]

    assert (committed, end) == (4, 10)


async def test_groups_are_listed_described_and_deleted_once_empty(clients: Clients) -> None:
    await clients.create_topic("t")
    consumer = await clients.consumer("t", **QUICK)
    await consumer.commit({TopicPartition("t", 0): 0})
    admin = await clients.admin()

    listed = await admin.list_consumer_groups()
    [described] = (await admin.describe_consumer_groups(["g"]))[0].groups
    with_members = await _delete_group(admin, "g")
    await consumer.stop()
    [left] = (await admin.describe_consumer_groups(["g"]))[0].groups
    empty, again = await _delete_group(admin, "g"), await _delete_group(admin, "g")

    assert listed == [("g", "consumer")]
    assert (described[2], described[4], len(described[5])) == ("Stable", "roundrobin", 1)
    assert left[2] == "Empty"
    assert (with_members, empty, again) == (68, 0, 69)
    assert await admin.list_consumer_groups() == []
    assert await admin.list_consumer_group_offsets("g") == {}


async def _delete_group(admin: Any, group_id: str) -> int:
    response = await admin._send_request(DeleteGroupsRequest([group_id]))
    return int(response.results[0][1])


async def test_an_impossible_session_timeout_is_refused(clients: Clients) -> None:
    await clients.create_topic("t")
    with pytest.raises(InvalidSessionTimeoutError):
        await clients.consumer("t", **QUICK | {"session_timeout_ms": 100, "heartbeat_interval_ms": 30})


async def test_a_deleted_topic_takes_its_committed_offsets_along(clients: Clients) -> None:
    await clients.create_topic("t")
    consumer = await clients.consumer(group_id="g")
    consumer.assign([TopicPartition("t", 0)])
    await consumer.commit({TopicPartition("t", 0): 7})
    admin = await clients.admin()
    before = await admin.list_consumer_group_offsets("g")

    await admin.delete_topics(["t"])
    await clients.create_topic("t")

    assert before[TopicPartition("t", 0)].offset == 7
    assert await admin.list_consumer_group_offsets("g") == {}

"""SIGKILL under load: what was acknowledged is there after the restart, once and in its order."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from support.clients import Clients
from support.process import BrokerProcess
from support.raw import RawClient
from support.waiting import take

from embedded_kafka.messages import (
    CommitPartition,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    Topic,
)

PARTITIONS = 3
PRODUCERS = 4
KILLS = 4


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    async with BrokerProcess(tmp_path) as broker:
        yield broker


@pytest.fixture
async def clients(broker: BrokerProcess) -> AsyncIterator[Clients]:
    clients = Clients(broker.bootstrap)
    yield clients
    await clients.stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_acknowledged_record_is_there_once_and_in_order(
    broker: BrokerProcess, clients: Clients, seed: int
) -> None:
    chance = random.Random(seed)
    await clients.create_topic("t", partitions=PARTITIONS, segment_bytes="20000")
    acknowledged: dict[tuple[int, int], bytes] = {}
    stop = asyncio.Event()

    async def write(name: int, producer: AIOKafkaProducer) -> int:
        number = 0
        while not stop.is_set():
            values = [b"%d %d" % (name, number + each) for each in range(20)]
            sent = [await producer.send("t", value, partition=number % PARTITIONS) for value in values]
            number += len(values)
            for value, place in zip(values, await asyncio.gather(*sent), strict=True):
                acknowledged[place.partition, place.offset] = value
        return number

    producers = [
        await clients.producer(enable_idempotence=True, retry_backoff_ms=20, max_batch_size=400)
        for _ in range(PRODUCERS)
    ]
    writers = [asyncio.create_task(write(name, producer)) for name, producer in enumerate(producers)]
    for _ in range(KILLS):
        # Not a wait for something to happen: the moment of the kill is what is drawn.
        await asyncio.sleep(chance.uniform(0.02, 0.25))
        await broker.kill()
        await broker.start()
    stop.set()
    written = sum(await asyncio.wait_for(asyncio.gather(*writers), 30))
    await broker.kill()
    await broker.start()

    records = await take(await clients.consumer("t"), written)

    assert len(acknowledged) == written > KILLS * PRODUCERS
    assert {(record.partition, record.offset): record.value for record in records} == acknowledged
    for name in range(PRODUCERS):
        for partition in range(PARTITIONS):
            numbers = [
                int(value.split()[1])
                for (place, _), value in sorted(acknowledged.items())
                if place == partition and int(value.split()[0]) == name
            ]
            assert numbers == sorted(set(numbers))
    ends = await (await clients.consumer()).end_offsets([TopicPartition("t", index) for index in range(PARTITIONS)])
    assert sum(ends.values()) == written


async def test_an_acknowledged_commit_is_never_taken_back(broker: BrokerProcess, clients: Clients) -> None:
    chance = random.Random(4)
    await clients.create_topic("t")
    acknowledged = 0

    async def commit() -> None:
        nonlocal acknowledged
        client = await RawClient.connect(broker.bootstrap)
        try:
            while True:
                partition = CommitPartition(0, acknowledged + 1, None)
                request = OffsetCommitRequest("g", -1, "", -1, [Topic("t", [partition])])
                answer = await client.ask(request, OffsetCommitResponse)
                assert answer.topics[0].partitions[0].error_code == 0
                acknowledged += 1
        finally:
            await client.close()

    for _ in range(5):
        committing = asyncio.create_task(commit())
        await asyncio.sleep(chance.uniform(0.01, 0.1))
        await broker.kill()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await committing
        await broker.start()

        client = await RawClient.connect(broker.bootstrap)
        kept = await client.ask(OffsetFetchRequest("g", None), OffsetFetchResponse)
        await client.close()
        # One more may have been written whose acknowledgement was not heard.
        assert kept.topics[0].partitions[0].offset in (acknowledged, acknowledged + 1)
        acknowledged = kept.topics[0].partitions[0].offset
    assert acknowledged > 50

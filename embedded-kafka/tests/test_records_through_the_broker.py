"""Beside the conformance suite: what aiokafka is told of what there is not, and what it does in large numbers."""

import asyncio
import time

import pytest
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from support.clients import Clients
from support.waiting import take, until


async def test_a_waiting_fetch_wakes_at_once_in_all_its_topics(clients: Clients) -> None:
    await clients.create_topic("a")
    await clients.create_topic("b", partitions=2)
    producer = await clients.producer()
    consumers = [await clients.consumer("a", "b", fetch_max_wait_ms=10_000) for _ in range(3)]
    waiting = [asyncio.create_task(take(consumer, 3)) for consumer in consumers]

    for topic, partition in (("a", 0), ("b", 1), ("b", 0)):
        await producer.send_and_wait(topic, b"x", partition=partition)
    started = time.perf_counter()
    found = await asyncio.gather(*waiting)

    # The fetches themselves would wait ten seconds: the rest is the machine's noise.
    assert time.perf_counter() - started < 2
    assert all(
        {(record.topic, record.partition) for record in records} == {("a", 0), ("b", 1), ("b", 0)} for records in found
    )


async def test_an_unknown_topic_is_not_made_by_asking(clients: Clients) -> None:
    producer = await clients.producer(request_timeout_ms=300)
    admin = await clients.admin()

    with pytest.raises(UnknownTopicOrPartitionError):
        await producer.send_and_wait("typo", b"x")

    assert await admin.list_topics() == []


async def test_a_transactional_producer_is_refused_with_an_error(clients: Clients) -> None:
    with pytest.raises(KafkaError, match="TransactionalIdAuthorizationFailed"):
        await clients.producer(transactional_id="orders")


async def test_hundreds_of_batches_in_flight_from_an_idempotent_producer_are_kept_once(clients: Clients) -> None:
    await clients.create_topic("t", partitions=3)
    producer = await clients.producer(enable_idempotence=True, max_batch_size=300)

    sent = [await producer.send("t", b"%d" % index, key=b"%d" % (index % 7)) for index in range(1000)]
    await until(lambda: all(future.done() for future in sent))
    records = await take(await clients.consumer("t"), 1000)

    assert sorted(int(record.value or b"") for record in records) == list(range(1000))

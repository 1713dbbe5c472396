"""Producing and consuming with aiokafka: what was sent is there, once and in order."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError, UnknownTopicOrPartitionError
from support.clients import Clients
from support.waiting import take, until

from embedded_kafka import EmbeddedKafka


@pytest.mark.parametrize("codec", [None, "gzip"])
@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_records_come_back_as_they_were_sent(clients: Clients, codec: str | None, idempotent: bool) -> None:
    await clients.create_topic("t")
    producer = await clients.producer(compression_type=codec, enable_idempotence=idempotent)
    headers = [("trace", b"00-1"), ("empty", b"")]

    sent = [await producer.send_and_wait("t", b"v%d" % i, key=b"k%d" % i, headers=headers) for i in range(20)]
    consumer = await clients.consumer("t")
    records = await take(consumer, 20)

    assert [place.offset for place in sent] == list(range(20))
    assert [(record.offset, record.key, record.value) for record in records] == [
        (i, b"k%d" % i, b"v%d" % i) for i in range(20)
    ]
    assert all(record.headers == tuple(headers) for record in records)


async def test_a_key_always_goes_to_its_partition_and_stays_in_order(clients: Clients) -> None:
    await clients.create_topic("t", partitions=4)
    producers = [await clients.producer() for _ in range(3)]

    for number in range(30):
        for index, producer in enumerate(producers):
            await producer.send("t", b"%d" % number, key=b"order-%d-%d" % (index, number % 5))
    for producer in producers:
        await producer.flush()
    records = await take(await clients.consumer("t"), 90)

    partitions: dict[bytes | None, set[int]] = {}
    values: dict[bytes | None, list[int]] = {}
    for record in records:
        partitions.setdefault(record.key, set()).add(record.partition)
        values.setdefault(record.key, []).append(int(record.value or b""))
    assert {len(found) for found in partitions.values()} == {1}
    assert len(set().union(*partitions.values())) > 1
    assert all(found == sorted(found) for found in values.values())


async def test_end_offsets_are_right_after_several_producers_wrote_at_once(clients: Clients) -> None:
    await clients.create_topic("t", partitions=2)
    producers = [await clients.producer() for _ in range(4)]

    async def write(producer: AIOKafkaProducer) -> None:
        for number in range(50):
            await producer.send("t", b"x", partition=number % 2)
        await producer.flush()

    await asyncio.gather(*map(write, producers))
    consumer = await clients.consumer()
    partitions = [TopicPartition("t", 0), TopicPartition("t", 1)]

    assert await consumer.end_offsets(partitions) == dict.fromkeys(partitions, 100)
    assert await consumer.beginning_offsets(partitions) == dict.fromkeys(partitions, 0)


async def test_offsets_for_times_are_exact_to_the_record(clients: Clients) -> None:
    await clients.create_topic("t")
    producer = await clients.producer(linger_ms=50, compression_type="gzip")
    now = int(time.time() * 1000)
    for index in range(30):
        await producer.send("t", b"x" * 50, timestamp_ms=now + index * 10)
    await producer.flush()
    consumer = await clients.consumer()
    partition = TopicPartition("t", 0)

    at_15 = await consumer.offsets_for_times({partition: now + 150})
    after_15 = await consumer.offsets_for_times({partition: now + 151})
    too_late = await consumer.offsets_for_times({partition: now + 1000})

    assert (at_15[partition].offset, at_15[partition].timestamp) == (15, now + 150)
    assert after_15[partition].offset == 16
    assert too_late[partition] is None


async def test_a_consumer_without_a_group_seeks_and_reads_on(clients: Clients) -> None:
    await clients.create_topic("t")
    producer = await clients.producer()
    for index in range(10):
        await producer.send_and_wait("t", b"%d" % index)
    consumer = await clients.consumer(group_id=None)
    consumer.assign([TopicPartition("t", 0)])

    consumer.seek(TopicPartition("t", 0), 7)
    from_7 = await take(consumer, 3)
    await consumer.seek_to_beginning()
    from_0 = await take(consumer, 2)
    await consumer.seek_to_end()
    await consumer.position(TopicPartition("t", 0))
    await producer.send_and_wait("t", b"new")
    last = await take(consumer, 1)

    assert [record.value for record in from_7 + from_0 + last] == [b"7", b"8", b"9", b"0", b"1", b"new"]


async def test_small_fetches_get_through_large_records_and_segment_borders(clients: Clients) -> None:
    await clients.create_topic("t", segment_bytes="5000")
    producer = await clients.producer()
    for index in range(30):
        await producer.send_and_wait("t", b"%02d" % index + b"x" * (index * 100))

    consumer = await clients.consumer("t", max_partition_fetch_bytes=1000)
    records = await take(consumer, 30)

    assert [(record.value or b"")[:2] for record in records] == [b"%02d" % index for index in range(30)]


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


async def test_a_fetch_waits_for_its_minimum_of_bytes(clients: Clients) -> None:
    await clients.create_topic("t")
    producer = await clients.producer()
    consumer = await clients.consumer("t", fetch_min_bytes=2000, fetch_max_wait_ms=60_000)
    waiting = asyncio.create_task(consumer.getone())

    await producer.send_and_wait("t", b"x" * 500)
    await asyncio.wait([waiting], timeout=0.2)
    too_early = waiting.done()
    await producer.send_and_wait("t", b"x" * 2000)

    assert not too_early
    assert (await asyncio.wait_for(waiting, 5)).offset == 0


async def test_an_unknown_topic_is_not_made_by_asking(clients: Clients) -> None:
    producer = await clients.producer(request_timeout_ms=300)
    admin = await clients.admin()

    with pytest.raises(UnknownTopicOrPartitionError):
        await producer.send_and_wait("typo", b"x")

    assert await admin.list_topics() == []


async def test_a_batch_over_the_topics_limit_is_refused(clients: Clients) -> None:
    await clients.create_topic("t", max_message_bytes="500")
    producer = await clients.producer()

    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait("t", b"x" * 1000)

    assert (await producer.send_and_wait("t", b"x")).offset == 0


async def test_a_reader_whose_offset_was_cut_off_is_told_or_reset() -> None:
    async with EmbeddedKafka(housekeeping_seconds=0.05) as kafka:
        clients = Clients(kafka.bootstrap)
        await clients.create_topic("t", segment_bytes="2000", retention_bytes="4000")
        producer = await clients.producer()
        for _ in range(20):
            await producer.send_and_wait("t", b"x" * 900)
        partition = TopicPartition("t", 0)
        strict = await clients.consumer(group_id=None, auto_offset_reset="none")
        start = 0
        async with asyncio.timeout(10):
            while not start:
                start = (await strict.beginning_offsets([partition]))[partition]

        strict.assign([partition])
        strict.seek(partition, 0)
        with pytest.raises(OffsetOutOfRangeError):
            await strict.getone()
        lenient = await clients.consumer(group_id=None)
        lenient.assign([partition])
        lenient.seek(partition, 0)
        first = await lenient.getone()

        assert first.offset == start > 0
        await clients.stop()


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

"""Producers and readers on aiokafka, with the settings and habits of Flotilla's services."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from .load import Load, Read, Reading, Sent
from .worker import Gate

_QUIET_SECONDS = 15.0  # no news for so long: what is missing is lost
_AFTERMATH_SECONDS = 0.3  # read on when all is there: doubled records may come
_IN_FLIGHT = 5000  # records handed to the producers and not yet acknowledged, at full speed


def produce(gate: Gate, bootstrap: str, load: Load) -> Sent:
    return asyncio.run(_produce(gate, bootstrap, load))


def read(gate: Gate, bootstrap: str, group: str, load: Load) -> Read:
    return asyncio.run(_read(gate, bootstrap, group, load))


async def _produce(gate: Gate, bootstrap: str, load: Load) -> Sent:
    """As the outbox does it: idempotent, acks=all, no linger."""
    producers = [
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        for _ in range(load.producers)
    ]
    for producer in producers:
        await producer.start()
        for topic in load.topics:
            await producer.partitions_for(topic)
    gate.ready()
    await asyncio.to_thread(gate.wait)
    begun_ns = time.monotonic_ns()
    waiting: set[asyncio.Future[object]] = set()
    failed: list[str] = []

    def settle(done: asyncio.Future[object]) -> None:
        waiting.discard(done)
        if error := done.exception():
            failed.append(repr(error))

    for index, (number, topic, partition, stream, position) in enumerate(load.places()):
        if load.rate is not None:
            due_ns = begun_ns + index * 1_000_000_000 // load.rate
            if (early_ns := due_ns - time.monotonic_ns()) > 0:
                await asyncio.sleep(early_ns / 1e9)
        elif len(waiting) >= _IN_FLIGHT:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        value = load.value(time.monotonic_ns(), stream, position)
        future = await producers[number].send(topic, value, partition=partition)
        waiting.add(future)
        future.add_done_callback(settle)
    if waiting:
        await asyncio.wait(waiting)
    sent = Sent(begun_ns, failed)
    for producer in producers:
        await producer.stop()
    return sent


async def _read(gate: Gate, bootstrap: str, group: str, load: Load) -> Read:
    """As a service's reader does it: up to 200 records at a time, and a commit after each batch."""
    reading = Reading(load)
    consumer = AIOKafkaConsumer(
        *load.topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
        max_poll_records=200,
    )
    await consumer.start()
    while len(consumer.assignment()) < len(load.topics) * load.partitions:
        await consumer.getmany(timeout_ms=10)
    gate.ready()
    news_at = time.monotonic()
    while time.monotonic() - news_at < (_AFTERMATH_SECONDS if reading.complete else _QUIET_SECONDS):
        batches = await consumer.getmany(timeout_ms=100)
        now_ns = time.monotonic_ns()
        for records in batches.values():
            for record in records:
                reading.note(record.value, now_ns)
        if batches:
            news_at = time.monotonic()
            await consumer.commit({partition: records[-1].offset + 1 for partition, records in batches.items()})
    await consumer.stop()
    return reading.result()

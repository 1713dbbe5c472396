"""The outbox: told if and only if it was committed, in order, whoever is away meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaConsumer
from conftest import migrated
from pydantic import SecretStr
from sqlalchemy import func, select
from support.demo import Demo, DemoSettings

from chassis.database import Database
from chassis.kafka import Kafka
from chassis.outbox import Relay, publish
from chassis.supervisor import Supervisor
from chassis.tables import OutboxRow
from chassis.testing.broker import BrokerProcess
from chassis.testing.waiting import until


async def tell(demo: Demo, key: str, *values: int) -> None:
    async with demo.database.begin() as session:
        for value in values:
            publish(session, demo.counted(key=key, value=value), key=key)


async def pending(database: Database) -> int:
    async with database.begin() as session:
        return int(await session.scalar(select(func.count()).select_from(OutboxRow)) or 0)


@asynccontextmanager
async def relaying(*relays: Relay) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    for number, relay in enumerate(relays):
        supervisor.start(f"relay-{number}", relay.run)
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def told(kafka: Kafka, demo: Demo, count: int) -> list[tuple[str, int]]:
    """The first `count` different events on the demo's topic, as key and value; one told twice counts once, as it
    does for every reader's inbox."""
    consumer: AIOKafkaConsumer = kafka.consumer(demo.counted.topic, group=None)
    await consumer.start()
    try:
        events: dict[bytes, tuple[str, int]] = {}
        async with asyncio.timeout(15):
            while len(events) < count:
                record = await consumer.getone()
                event = record.key.decode(), demo.counted.model_validate_json(record.value).value
                events.setdefault(dict(record.headers)["ce_id"], event)
    finally:
        await consumer.stop()
    return [*events.values()]


async def test_what_was_committed_before_a_crash_is_told_after_it_k1(demo: Demo, kafka: Kafka) -> None:
    await kafka.ensure_topics([demo.counted.topic])
    await tell(demo, "k", 1, 2, 3)

    async with relaying(Relay(demo.database, kafka)):
        assert await told(kafka, demo, 3) == [("k", 1), ("k", 2), ("k", 3)]
        await until(lambda: _is_empty(demo))


async def _is_empty(demo: Demo) -> bool:
    return await pending(demo.database) == 0


async def test_what_was_rolled_back_is_never_told_k2(demo: Demo, kafka: Kafka) -> None:
    await kafka.ensure_topics([demo.counted.topic])
    await _tell_and_fail(demo)
    await tell(demo, "k", 2)

    async with relaying(Relay(demo.database, kafka)):
        assert await told(kafka, demo, 1) == [("k", 2)]


async def _tell_and_fail(demo: Demo) -> None:
    with suppress(ZeroDivisionError):
        async with demo.database.begin() as session:
            publish(session, demo.counted(key="k", value=1), key="k")
            await session.flush()
            raise ZeroDivisionError


async def test_the_relay_wakes_as_soon_as_something_is_written(demo: Demo, kafka: Kafka) -> None:
    await kafka.ensure_topics([demo.counted.topic])
    relay = Relay(demo.database, kafka)
    async with relaying(relay):
        assert await relay.flush(5.0)
        await tell(demo, "k", 1)
        await until(lambda: _is_empty(demo), timeout_seconds=2.5)


async def test_events_of_a_key_stay_in_order_when_another_relay_takes_over_k3(demo: Demo, kafka: Kafka) -> None:
    await kafka.ensure_topics([demo.counted.topic])
    first, second = Relay(demo.database, kafka), Relay(demo.database, kafka)

    async with relaying(first, second) as supervisor:
        for start in range(0, 300, 10):
            await tell(demo, f"key-{start % 30}", *range(start, start + 10))
            if start == 150:
                await supervisor.stop("relay-0")
        events = await told(kafka, demo, 300)

    for key in ("key-0", "key-10", "key-20"):
        values = [value for told_key, value in events if told_key == key]
        assert values == sorted(values)
        assert len(values) == 100


async def test_while_the_broker_is_away_writing_goes_on_and_all_is_told_afterwards_k4(
    database_url: str, broker: BrokerProcess
) -> None:
    settings = DemoSettings(database_url=SecretStr(database_url), kafka_bootstrap=broker.bootstrap)
    kafka = Kafka(settings)
    async with migrated(settings) as database:
        demo = Demo(database)
        await kafka.ensure_topics([demo.counted.topic])
        async with relaying(Relay(database, kafka)):
            await tell(demo, "k", 1)
            await until(lambda: _is_empty(demo))

            broker.kill()
            await tell(demo, "k", *range(2, 50))
            assert await pending(database) == 48
            broker.start()

            assert await told(kafka, demo, 49) == [("k", value) for value in range(1, 50)]
            await until(lambda: _is_empty(demo))
    await kafka.aclose()


async def test_an_event_too_large_to_be_sent_is_refused_while_there_is_somebody_to_tell(demo: Demo) -> None:
    with pytest.raises(ValueError, match="over the 900000 that are sent"):
        async with demo.database.begin() as session:
            publish(session, demo.counted(key="x" * 1_000_000, value=1), key="k")

    assert await pending(demo.database) == 0

"""The reader: nothing lost, nothing doubled, nothing out of order within a key, and the bad one alone suffers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError
from support.demo import Demo, DemoSettings, NotToday

from chassis.ids import uuid7
from chassis.kafka import Kafka
from chassis.reactions import Reactions
from chassis.reader import Reader
from chassis.supervisor import Supervisor
from chassis.testing.events import Neighbours
from chassis.testing.waiting import until


class Sender:
    """Sends bumps to the demo's topic."""

    def __init__(self, demo: Demo, kafka: Kafka) -> None:
        self._demo = demo
        self._neighbours = Neighbours(kafka)

    async def bump(self, key: str, number: int, event_id: UUID | None = None) -> UUID:
        data = {"key": key, "number": number}
        return await self._neighbours.say(
            "demo.bumped.v1", topic=self._demo.topic, key=key, data=data, event_id=event_id
        )

    async def raw(self, key: str, value: bytes, type_: str = "demo.bumped.v1") -> None:
        await self._neighbours.say(type_, topic=self._demo.topic, key=key, value=value)


@pytest_asyncio.fixture(loop_scope="session")
async def sender(demo: Demo, kafka: Kafka) -> Sender:
    await kafka.ensure_topics([demo.topic, f"{demo.topic}-dlt"])
    return Sender(demo, kafka)


def a_reader(demo: Demo, kafka: Kafka, group: str = "demo-service") -> Reader:
    reactions = Reactions(demo, demo.reactions, preload=demo.preload)
    return Reader(demo.database, kafka, reactions, group=f"{group}-{demo.topic}", tries=3, first_pause_seconds=0.1)


@asynccontextmanager
async def reading(reader: Reader) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    supervisor.start("reader", reader.run)
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def dead_letters(kafka: Kafka, demo: Demo, count: int) -> list[tuple[bytes, dict[str, str]]]:
    """The first dead letters of the demo's topic: their values and headers."""
    consumer = kafka.consumer(f"{demo.topic}-dlt", group=None)
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            records = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [(record.value, {name: value.decode() for name, value in record.headers}) for record in records]


async def test_a_batch_of_many_keys_is_handled_once_each_and_in_order(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    keys = [str(uuid4()) for _ in range(5)]
    for number in range(20):
        for key in keys:
            await sender.bump(key, number)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: len(demo.handled) == 100)

    for key in keys:
        assert [number for handled, number in demo.handled if handled == key] == list(range(20))
        assert await demo.value(key) == 20


async def test_an_event_delivered_again_has_no_second_effect_k5(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    key, event_id = str(uuid4()), uuid7()
    for _ in range(4):
        await sender.bump(key, 1, event_id)
    await sender.bump(key, 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: (key, 2) in demo.handled)
    async with reading(a_reader(demo, kafka, group="another-group")):
        await sender.bump(key, 3)
        await until(lambda: (key, 3) in demo.handled)

    assert demo.handled == [(key, 1), (key, 2), (key, 3)]
    assert await demo.value(key) == 3


async def test_a_reader_that_starts_again_goes_on_where_it_has_committed(
    demo: Demo, kafka: Kafka, sender: Sender
) -> None:
    key = str(uuid4())
    await sender.bump(key, 1)
    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [(key, 1)])
        await until(lambda: _committed(kafka, demo, 1))

    await sender.bump(key, 2)
    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [(key, 1), (key, 2)])


async def _committed(kafka: Kafka, demo: Demo, total: int) -> bool:
    consumer = kafka.consumer(group=f"demo-service-{demo.topic}")
    await consumer.start()
    try:
        offsets = [await consumer.committed(TopicPartition(demo.topic, number)) or 0 for number in range(3)]
    finally:
        await consumer.stop()
    return sum(offsets) == total


@pytest.mark.parametrize("value", [b"{", b"", b"\xff\x00", b'{"key": 1}', b"[]", b'{"key": "x", "number": "many"}'])
async def test_an_event_that_cannot_be_read_is_set_aside_at_once_byte_for_byte_k6(
    demo: Demo, kafka: Kafka, sender: Sender, value: bytes
) -> None:
    key = str(uuid4())
    await sender.raw(key, value)
    await sender.bump(key, 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [(key, 2)])
        [(kept, headers)] = await dead_letters(kafka, demo, 1)

    assert kept == value
    assert headers["dlt-original-topic"] == demo.topic
    assert headers["dlt-original-offset"] == "0"
    assert headers["dlt-original-partition"] in "012"
    assert headers["dlt-exception-fqcn"] == "chassis.messages.Unreadable"
    assert headers["ce_type"] == "demo.bumped.v1"


async def test_a_record_without_an_envelope_is_set_aside_too(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    producer = await kafka.producer()
    await producer.send_and_wait(demo.topic, value=b"hello", key=b"k")
    await sender.bump("k", 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [("k", 2)])
        [(kept, _)] = await dead_letters(kafka, demo, 1)

    assert kept == b"hello"


async def test_an_event_of_a_type_that_nobody_reacts_to_is_passed_over(
    demo: Demo, kafka: Kafka, sender: Sender
) -> None:
    await sender.raw("k", b'{"x": 1}', type_="demo.something-new.v1")
    await sender.bump("k", 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [("k", 2)])


async def test_a_failing_event_holds_up_its_own_key_and_no_other_k6(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    demo.failures[1] = [RuntimeError("not yet"), RuntimeError("not yet")]
    await sender.bump("bad", 1)
    await sender.bump("bad", 2)
    await sender.bump("good", 3)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: ("good", 3) in demo.handled, timeout_seconds=1.0 + 4.0)
        handled_meanwhile = list(demo.handled)
        await sender.bump("good", 4)
        await until(lambda: len(demo.handled) == 4)

    assert handled_meanwhile[0] == ("good", 3)
    assert [entry for entry in demo.handled if entry[0] == "bad"] == [("bad", 1), ("bad", 2)]
    assert await demo.value("bad") == 2


async def test_after_the_last_try_it_is_set_aside_and_its_key_goes_on(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    demo.failures[1] = [RuntimeError("never") for _ in range(10)]
    await sender.bump("bad", 1)
    await sender.bump("bad", 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [("bad", 2)])
        [(kept, headers)] = await dead_letters(kafka, demo, 1)

    assert kept == b'{"key": "bad", "number": 1}'
    assert headers["dlt-exception-message"] == "never"
    assert len(demo.failures[1]) == 10 - 4, "once in its batch, then three times by itself"
    assert await demo.value("bad") == 1


async def test_offsets_do_not_pass_an_event_that_is_not_settled(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    demo.failures[1] = [RuntimeError("stopped meanwhile") for _ in range(3)]
    await sender.bump("bad", 1)
    await sender.bump("good", 2)
    reader = a_reader(demo, kafka)
    reader._first_pause_seconds = 60
    async with reading(reader):
        await until(lambda: demo.handled == [("good", 2)])

    demo.failures.clear()
    async with reading(a_reader(demo, kafka)):
        await until(lambda: ("bad", 1) in demo.handled)

    assert sorted(demo.handled) == [("bad", 1), ("good", 2)]


async def test_a_problem_is_an_answer_and_no_failure(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    demo.failures[1] = [NotToday("Come back tomorrow."), NotToday("Come back tomorrow.")]
    await sender.bump("k", 1)
    await sender.bump("k", 2)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [("k", 2)])

    assert await demo.value("k") == 1


async def test_a_dead_letter_that_is_not_taken_keeps_the_offset_where_it_is_k7(
    demo: Demo, kafka: Kafka, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sender.raw("k", b"{")
    reader = a_reader(demo, kafka)
    refusals = [KafkaConnectionError("away"), KafkaConnectionError("away")]
    take = reader._dead_letters.add

    async def refuse_then_take(record: ConsumerRecord, error: Exception) -> None:
        if refusals:
            raise refusals.pop()
        await take(record, error)

    monkeypatch.setattr(reader._dead_letters, "add", refuse_then_take)  # a broker that is away just then
    async with reading(reader):
        [(kept, _)] = await dead_letters(kafka, demo, 1)

    assert kept == b"{"
    assert refusals == []


async def test_what_is_published_names_its_cause_and_its_correlation(demo: Demo, kafka: Kafka, sender: Sender) -> None:
    event_id = await sender.bump("k", 1)

    async with reading(a_reader(demo, kafka)):
        await until(lambda: demo.handled == [("k", 1)])

    async with demo.database.engine.connect() as connection:
        [[headers]] = (await connection.exec_driver_sql("SELECT headers FROM outbox")).all()
    assert headers["ce_causationid"] == str(event_id)
    assert headers["ce_correlationid"] == "k"
    assert headers["ce_source"] == "/demo-service"


async def test_two_readers_of_a_group_share_the_work_and_each_event_is_handled_once(
    demo: Demo, kafka: Kafka, settings: DemoSettings, sender: Sender
) -> None:
    async with reading(a_reader(demo, kafka)), reading(a_reader(demo, kafka)):
        for number in range(60):
            await sender.bump(f"key-{number % 6}", number)
        await until(lambda: len(demo.handled) >= 60, timeout_seconds=20)

    assert sorted(number for _, number in demo.handled) == list(range(60))


async def test_an_event_that_fails_while_the_group_is_rebalanced_is_still_handled_once_and_in_order(
    demo: Demo, kafka: Kafka, sender: Sender
) -> None:
    demo.failures[1] = [RuntimeError("not yet") for _ in range(5)]
    await sender.bump("bad", 1)
    await sender.bump("bad", 2)
    await sender.bump("good", 3)
    first, second = (a_reader(demo, kafka) for _ in range(2))
    for reader in (first, second):
        reader._tries = 100

    async with reading(first):
        await until(lambda: demo.handled == [("good", 3)])
        async with reading(second):
            await until(lambda: len(demo.handled) == 3, timeout_seconds=20)

    assert [entry for entry in demo.handled if entry[0] == "bad"] == [("bad", 1), ("bad", 2)]
    assert await demo.value("bad") == 2


async def test_a_reader_that_cannot_stay_up_is_noticed_within_ten_seconds_k11(
    demo: Demo, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = a_reader(demo, kafka)

    async def die(consumer: object) -> None:
        raise RuntimeError("a fault in the reader itself, which no event causes")

    monkeypatch.setattr(reader, "_read_once", die)
    async with reading(reader) as supervisor:
        await until(lambda: supervisor.failing() == ["reader"], timeout_seconds=10)

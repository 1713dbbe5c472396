"""Fetch: long polls, limits, several partitions, segment borders, and offsets that are not there."""

import asyncio
import time
from collections.abc import Callable

import pytest
from support.waiting import until

from .client import Client, OffsetOutOfRange
from .conftest import Connect, NewTopic
from .names import FETCH_SESSION_ID_NOT_FOUND, NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, fresh_name
from .raw import EARLIEST, LATEST, RawClient, fetch_request, fetched_partitions
from .records import Record, batch, batch_of_size, batches, records_in

SEGMENT_BYTES = 1024 * 1024
"""The least that Apache Kafka takes since 4.0 (KIP-1030)."""


class TestLongPoll:
    async def test_an_empty_answer_comes_when_the_time_is_over(self, raw: RawClient, topic: str) -> None:
        began = time.monotonic()

        fetched = await raw.fetch(topic, 0, max_wait_ms=300)

        assert 0.29 <= time.monotonic() - began < 3
        assert (fetched.error, fetched.records, fetched.high_watermark) == (NONE, b"", 0)

    async def test_an_answer_comes_as_soon_as_there_is_a_record(self, connect: Connect, topic: str) -> None:
        reader, writer = await connect(), await connect()
        request = fetch_request(topic, {0: 0}, max_wait_ms=10_000)
        asked = reader.say(request)
        await reader_waits(writer, topic)

        began = time.monotonic()
        await writer.produce(topic, batch(b"a"))
        answer = await reader.answer(request, asked)

        assert time.monotonic() - began < 3
        assert list(records_in(fetched_partitions(answer)[0].records)) == [(0, b"a")]

    async def test_a_reader_may_wait_for_more_than_a_record(self, connect: Connect, topic: str) -> None:
        reader, writer = await connect(), await connect()
        request = fetch_request(topic, {0: 0}, min_bytes=1000, max_wait_ms=10_000)
        asked = reader.say(request)
        await writer.produce(topic, batch_of_size(500))
        waiting = asyncio.create_task(reader.answer(request, asked))
        await reader_waits(writer, topic)
        assert not waiting.done()

        began = time.monotonic()
        await writer.produce(topic, batch_of_size(500))
        answer = await waiting

        assert time.monotonic() - began < 3
        assert len(batches(fetched_partitions(answer)[0].records)) == 2

    async def test_too_little_is_answered_when_the_time_is_over(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a"))
        began = time.monotonic()

        fetched = await raw.fetch(topic, 0, min_bytes=100_000, max_wait_ms=300)

        assert 0.29 <= time.monotonic() - began < 3
        assert list(records_in(fetched.records)) == [(0, b"a")]

    async def test_what_is_there_does_not_wait(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a"))
        began = time.monotonic()

        await raw.fetch(topic, 0, max_wait_ms=10_000)

        assert time.monotonic() - began < 3

    async def test_a_record_in_any_of_the_partitions_is_enough(self, connect: Connect, new_topic: NewTopic) -> None:
        topic = await new_topic(3)
        reader, writer = await connect(), await connect()
        request = fetch_request(topic, {0: 0, 1: 0, 2: 0}, max_wait_ms=10_000)
        asked = reader.say(request)
        await reader_waits(writer, topic)

        await writer.produce(topic, batch(b"a"), partition=2)

        fetched = fetched_partitions(await reader.answer(request, asked, 3))
        assert {index for index, each in fetched.items() if each.records} == {2}

    async def test_an_error_in_one_partition_does_not_wait(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(2)

        answer = await raw.ask(fetch_request(topic, {0: 0, 1: 5}, max_wait_ms=10_000), 3)

        assert fetched_partitions(answer)[1].error == OFFSET_OUT_OF_RANGE

    async def test_a_client_hears_of_a_record_at_once(self, client: Client, other: Client, topic: str) -> None:
        async with client.reader(topic, 0, max_wait_ms=10_000) as reader:
            assert await reader.poll(0.1) == []
            waiting = asyncio.create_task(reader.take(1))

            began = time.monotonic()
            await other.produce(topic, Record(b"a"), partition=0)

            assert [each.value for each in await waiting] == [b"a"]
            assert time.monotonic() - began < 3


async def reader_waits(another: RawClient, topic: str) -> None:
    """Not certain, but likely once the broker has answered somebody else."""
    for _ in range(3):
        await another.list_offset(topic, LATEST)


class TestLimits:
    @pytest.mark.parametrize("limit", ["max_bytes", "partition_max_bytes"])
    async def test_a_batch_that_is_larger_than_the_limit_is_given_whole(
        self, raw: RawClient, topic: str, limit: str
    ) -> None:
        """Else a reader would not get on (KIP-74)."""
        await raw.produce(topic, batch(b"a" * 5000))
        await raw.produce(topic, batch(b"b" * 5000))

        fetched = await raw.fetch(topic, 0, **{limit: 100})

        whole = batches(fetched.records)
        assert [value for _, value in records_in(whole[0])] == [b"a" * 5000]
        assert len(whole) == 1

    async def test_a_client_with_a_small_limit_reads_everything(
        self, client: Client, other: Client, topic: str
    ) -> None:
        for number in range(4):
            await other.produce(topic, Record(b"%d" % number * 3000), partition=0)

        async with client.reader(topic, 0, max_bytes=1000) as reader:
            read = await reader.take(4)

        assert [each.value for each in read] == [b"%d" % number * 3000 for number in range(4)]

    async def test_a_limit_holds_for_all_partitions_together(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(3)
        for partition in (1, 2):
            await raw.produce(topic, batch_of_size(5000), partition=partition)

        fetched = await raw.fetch_all(topic, {0: 0, 1: 0, 2: 0}, max_bytes=100)

        # The first that has something gives a batch, so that the reader gets on; the others keep to the limit.
        assert {index: len(batches(each.records)) for index, each in fetched.items()} == {0: 0, 1: 1, 2: 0}

    async def test_a_limit_for_each_partition_holds_beside_the_first(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(2)
        for partition in (0, 1):
            for _ in range(3):
                await raw.produce(topic, batch_of_size(1000), partition=partition)

        fetched = await raw.fetch_all(topic, {0: 0, 1: 0}, partition_max_bytes=2500)

        assert {index: len(batches(each.records)) for index, each in fetched.items()} == {0: 2, 1: 2}


class TestPartitions:
    async def test_several_partitions_are_read_in_one_request(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(3)
        for partition in range(3):
            await raw.produce(topic, batch(b"%d" % partition, b"%d more" % partition), partition=partition)

        fetched = await raw.fetch_all(topic, {0: 0, 1: 2, 2: 1})

        assert {index: each.error for index, each in fetched.items()} == {0: NONE, 1: NONE, 2: NONE}
        assert {index: each.high_watermark for index, each in fetched.items()} == {0: 2, 1: 2, 2: 2}
        assert list(records_in(fetched[0].records)) == [(0, b"0"), (1, b"0 more")]
        assert fetched[1].records == b""
        # A batch is given whole; the reader leaves out what comes before its offset.
        assert list(records_in(fetched[2].records)) == [(0, b"2"), (1, b"2 more")]

    async def test_partitions_may_stand_in_any_order(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(3)
        await raw.produce(topic, batch(b"a"), partition=2)

        fetched = await raw.fetch_all(topic, {2: 0, 0: 0})

        assert {index: bool(each.records) for index, each in fetched.items()} == {2: True, 0: False}

    async def test_an_unknown_topic_or_partition_is_told_beside_the_others(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a"))

        fetched = await raw.fetch_all(topic, {0: 0, 7: 0})

        assert fetched[7].error == UNKNOWN_TOPIC_OR_PARTITION
        assert list(records_in(fetched[0].records)) == [(0, b"a")]
        assert (await raw.fetch(fresh_name("topic"), 0)).error == UNKNOWN_TOPIC_OR_PARTITION


class TestSessions:
    async def test_a_session_that_the_broker_does_not_know_is_refused(self, raw: RawClient, topic: str) -> None:
        """KIP-227; the client then asks for everything anew."""
        answer = await raw.ask(fetch_request(topic, {0: 0}, session=(12345, 5)))

        assert answer.error_code == FETCH_SESSION_ID_NOT_FOUND

    async def test_a_reader_may_ask_for_a_session_and_gets_its_records(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a"))

        answer = await raw.ask(fetch_request(topic, {0: 0}, session=(0, 0)))

        assert list(records_in(fetched_partitions(answer)[0].records)) == [(0, b"a")]


class TestSegments:
    async def test_records_are_read_across_segment_borders(
        self, client: Client, other: Client, new_topic: NewTopic
    ) -> None:
        topic = await new_topic(segment_bytes=str(SEGMENT_BYTES))
        values = [b"%02d" % number * 100_000 for number in range(14)]
        async with other.producer() as producer:
            for value in values:
                await producer.send(topic, Record(value), partition=0)

        assert [each.value for each in await client.read(topic, 14)] == values
        assert [each.offset for each in await client.read(topic, 9, offset=5)] == list(range(5, 14))

    async def test_each_offset_is_found_around_a_border(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(segment_bytes=str(SEGMENT_BYTES))
        for number in range(8):
            await raw.produce(topic, batch(b"%d" % number, bytes(350_000)))

        for offset in range(16):
            fetched = await raw.fetch(topic, offset, max_bytes=1)
            assert next(iter(records_in(fetched.records))) == (offset // 2 * 2, b"%d" % (offset // 2))


class TestOffsets:
    @pytest.mark.parametrize("offset", [2, 1000, -3])
    async def test_an_offset_outside_the_log_is_refused(self, raw: RawClient, topic: str, offset: int) -> None:
        await raw.produce(topic, batch(b"a"))

        fetched = await raw.fetch(topic, offset)

        assert (fetched.error, fetched.records) == (OFFSET_OUT_OF_RANGE, b"")

    async def test_the_end_of_the_log_can_be_waited_at(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a"))

        fetched = await raw.fetch(topic, 1)

        assert (fetched.error, fetched.records, fetched.high_watermark) == (NONE, b"", 1)

    async def test_a_client_hears_that_its_offset_is_not_there(self, client: Client, topic: str) -> None:
        await client.produce(topic, Record(b"a"), partition=0)

        async with client.reader(topic, 100, reset="none") as reader:
            with pytest.raises(OffsetOutOfRange):
                await reader.take(1)

    async def test_a_client_may_go_to_the_earliest_instead(self, client: Client, topic: str) -> None:
        await client.produce(topic, Record(b"a"), Record(b"b"), partition=0)

        async with client.reader(topic, 100, reset="earliest") as reader:
            assert [each.offset for each in await reader.take(2)] == [0, 1]

    async def test_a_client_may_go_to_the_latest_instead(self, client: Client, topic: str) -> None:
        await client.produce(topic, Record(b"a"), partition=0)

        async with client.reader(topic, 100, reset="latest") as reader:
            taking = asyncio.create_task(reader.take(1))
            # When it has found the end nobody can see, so there is something new until it has.
            while not taking.done():
                await client.produce(topic, Record(b"new"), partition=0)
                await asyncio.wait([taking], timeout=0.1)

            assert [each.value for each in await taking] == [b"new"]


class TestRetention:
    async def test_what_retention_cut_off_is_out_of_range(
        self, client: Client, raw: RawClient, new_topic: NewTopic
    ) -> None:
        topic, start = await cut_topic(raw, new_topic)

        fetched = await raw.fetch(topic, 0)

        assert (fetched.error, fetched.records) == (OFFSET_OUT_OF_RANGE, b"")
        assert await client.beginning_offset(topic) == start
        assert await client.end_offset(topic) == 8
        found = await raw.fetch(topic, start)
        assert (found.error, found.log_start, found.high_watermark) == (NONE, start, 8)

    async def test_a_client_goes_on_at_what_is_left(self, client: Client, raw: RawClient, new_topic: NewTopic) -> None:
        topic, start = await cut_topic(raw, new_topic)

        async with client.reader(topic, 0, reset="earliest") as reader:
            left = await reader.take(8 - start)

        assert [each.offset for each in left] == list(range(start, 8))

    async def test_old_records_go_even_if_nothing_new_comes(
        self, client: Client, raw: RawClient, new_topic: NewTopic
    ) -> None:
        topic = await new_topic(retention_ms="3600000")

        await client.produce(topic, Record(b"a", timestamp_ms=1_600_000_000_000), partition=0)

        await until_log_is(raw, topic, lambda start, end: (start, end) == (1, 1))
        assert await client.produce(topic, Record(b"of now"), partition=0) == [(0, 1)]
        assert [(each.offset, each.value) for each in await client.read(topic, 1, offset=1)] == [(1, b"of now")]


async def cut_topic(raw: RawClient, new_topic: NewTopic) -> tuple[str, int]:
    """A topic of eight records without its first segments, and the offset of the first record that is left."""
    topic = await new_topic(segment_bytes=str(SEGMENT_BYTES), retention_bytes=str(SEGMENT_BYTES))
    for number in range(8):
        await raw.produce(topic, batch(b"%d" % number * 400_000))
    # Two records make a segment. The last segment alone is smaller than what may stay; with the one before it is not.
    return topic, await until_log_is(raw, topic, lambda start, end: start >= 4 and end == 8)


async def until_log_is(raw: RawClient, topic: str, so: Callable[[int, int], bool]) -> int:
    """Waits until its start and end are so; returns the start."""

    async def are_so() -> bool:
        return so((await raw.list_offset(topic, EARLIEST))[1], (await raw.list_offset(topic, LATEST))[1])

    await until(are_so)
    return (await raw.list_offset(topic, EARLIEST))[1]

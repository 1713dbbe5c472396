"""Produce: acknowledgements, order, limits, and what is no batch of records."""

import asyncio
import struct

import pytest
from aiokafka.record.util import calc_crc32c
from support.waiting import until

from .client import Client, Refused
from .conftest import Connect, NewTopic
from .names import (
    CORRUPT_MESSAGE,
    INVALID_RECORD,
    INVALID_REQUIRED_ACKS,
    INVALID_TIMESTAMP,
    MESSAGE_TOO_LARGE,
    NONE,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    UNKNOWN_TOPIC_OR_PARTITION,
    fresh_name,
)
from .raw import RawClient, api_versions_request, produce_request
from .records import CODECS, Record, batch, batch_of_size, records_in


class TestAcknowledgements:
    @pytest.mark.parametrize("acks", [1, "all"])
    async def test_an_acknowledgement_tells_partition_and_offset(
        self, client: Client, new_topic: NewTopic, acks: int | str
    ) -> None:
        topic = await new_topic(3)

        first = await client.produce(topic, Record(b"a"), Record(b"b"), partition=2, acks=acks)
        then = await client.produce(topic, Record(b"c"), partition=2, acks=acks)

        assert first == [(2, 0), (2, 1)]
        assert then == [(2, 2)]
        assert [each.value for each in await client.read(topic, 3, partition=2)] == [b"a", b"b", b"c"]

    async def test_without_acknowledgements_records_arrive_as_well(self, client: Client, topic: str) -> None:
        await client.produce(topic, Record(b"a"), Record(b"b"), partition=0, acks=0)

        async def have_arrived() -> bool:
            return await client.end_offset(topic) == 2

        await until(have_arrived)
        assert [each.value for each in await client.read(topic, 2)] == [b"a", b"b"]

    async def test_a_request_without_acknowledgement_is_not_answered(self, raw: RawClient, topic: str) -> None:
        raw.say(produce_request(topic, batch(b"a"), acks=0))

        # The answer to the next request is the next on the connection: `ask` compares correlation ids.
        await raw.ask(api_versions_request())

        async def has_arrived() -> bool:
            return (await raw.list_offset(topic, -1))[1] == 1

        await until(has_arrived)

    async def test_a_refusal_that_nobody_waits_for_costs_the_connection(self, raw: RawClient, topic: str) -> None:
        raw.say(produce_request(topic, batch(b"a"), partition=9, acks=0))

        assert await raw.is_closed_by_the_broker()

    async def test_other_numbers_of_acknowledgements_are_refused(self, raw: RawClient, topic: str) -> None:
        assert (await raw.produce(topic, batch(b"a"), acks=2)).error == INVALID_REQUIRED_ACKS
        assert (await raw.list_offset(topic, -1))[1] == 0


class TestOrder:
    async def test_a_partition_keeps_the_order_in_which_it_was_written(
        self, client: Client, other: Client, topic: str
    ) -> None:
        values = [b"%d" % number for number in range(500)]

        async with client.producer() as producer:
            for start in range(0, 500, 100):
                await producer.send(topic, *[Record(each) for each in values[start : start + 100]], partition=0)

        assert [each.value for each in await other.read(topic, 500)] == values

    @pytest.mark.parametrize("idempotent", [False, True])
    async def test_the_end_offset_counts_the_records_of_several_producers(
        self, client: Client, other: Client, topic: str, idempotent: bool
    ) -> None:
        async def write(writer: Client, name: int) -> list[tuple[int, int]]:
            records = [Record(b"%d %d" % (name, number)) for number in range(50)]
            return await writer.produce(topic, *records, partition=0, idempotent=idempotent)

        places = await asyncio.gather(write(client, 0), write(other, 1), write(client, 2), write(other, 3))

        offsets = sorted(offset for of_one in places for _, offset in of_one)
        assert offsets == list(range(200))
        assert await client.end_offset(topic) == await other.end_offset(topic) == 200
        read = await client.read(topic, 200)
        for name in range(4):
            of_one = [each for each in read if (each.value or b"").startswith(b"%d " % name)]
            assert [each.value for each in of_one] == [b"%d %d" % (name, number) for number in range(50)]
            assert [(0, each.offset) for each in of_one] == places[name]

    async def test_requests_on_one_connection_are_answered_in_their_order(self, raw: RawClient, topic: str) -> None:
        requests = [produce_request(topic, batch(b"%d" % number)) for number in range(20)]

        said = [raw.say(each) for each in requests]

        answers = [await raw.answer(request, number) for request, number in zip(requests, said, strict=True)]
        assert [answer.topics[0][1][0][2] for answer in answers] == list(range(20))

    async def test_writers_on_many_connections_get_offsets_without_gaps(self, connect: Connect, topic: str) -> None:
        writers = [await connect() for _ in range(8)]

        async def write(writer: RawClient) -> list[int]:
            return [(await writer.produce(topic, batch(b"a", b"b"))).offset for _ in range(10)]

        offsets = [offset for of_one in await asyncio.gather(*map(write, writers)) for offset in of_one]

        assert sorted(offsets) == list(range(0, 160, 2))
        assert (await writers[0].list_offset(topic, -1))[1] == 160


class TestPartitioners:
    async def test_both_clients_put_a_key_into_the_same_partition(
        self, clients: dict[str, Client], new_topic: NewTopic
    ) -> None:
        topic = await new_topic(7)
        keys = [b"", b"a", b"order-1", "größe".encode(), bytes(range(256)), *[b"%d" % number for number in range(60)]]
        records = [Record(b"value", key) for key in keys]

        places = [await client.produce(topic, *records) for client in clients.values()]

        of_aiokafka, of_confluent = [[partition for partition, _ in of_one] for of_one in places]
        assert of_aiokafka == of_confluent
        assert set(of_aiokafka) == set(range(7))


class TestLimits:
    async def test_a_record_that_is_too_large_for_the_topic_is_refused(
        self, client: Client, new_topic: NewTopic
    ) -> None:
        topic = await new_topic(max_message_bytes="10000")

        with pytest.raises(Refused) as refused:
            await client.produce(topic, Record(bytes(20_000)), partition=0)

        assert refused.value.code == MESSAGE_TOO_LARGE
        assert await client.end_offset(topic) == 0

    async def test_a_record_that_is_too_large_for_the_client_is_not_sent(self, client: Client, topic: str) -> None:
        with pytest.raises(Refused) as refused:
            await client.produce(topic, Record(bytes(2_000_000)), partition=0)

        assert refused.value.code == MESSAGE_TOO_LARGE

    async def test_a_batch_may_have_just_the_topics_size(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(max_message_bytes="10000")

        assert (await raw.produce(topic, batch_of_size(10_000))).error == NONE
        assert (await raw.produce(topic, batch_of_size(10_001))).error == MESSAGE_TOO_LARGE
        assert (await raw.list_offset(topic, -1))[1] == 1

    async def test_without_a_config_a_batch_may_have_a_mebibyte_and_its_header(
        self, raw: RawClient, topic: str
    ) -> None:
        assert (await raw.produce(topic, batch_of_size(1_048_588))).error == NONE
        assert (await raw.produce(topic, batch_of_size(1_048_589))).error == MESSAGE_TOO_LARGE

    async def test_compression_counts_as_it_is_sent(self, client: Client, new_topic: NewTopic) -> None:
        topic = await new_topic(max_message_bytes="10000")

        await client.produce(topic, Record(bytes(100_000)), partition=0, codec="gzip")

        [read] = await client.read(topic, 1)
        assert read.value == bytes(100_000)


class TestRefusedBatches:
    async def test_a_wrong_checksum_is_found(self, raw: RawClient, topic: str) -> None:
        damaged = bytearray(batch(b"value"))
        damaged[-1] ^= 1

        assert (await raw.produce(topic, bytes(damaged))).error == CORRUPT_MESSAGE
        assert (await raw.list_offset(topic, -1))[1] == 0

    async def test_a_batch_of_an_old_format_is_refused(self, raw: RawClient, topic: str) -> None:
        old = bytearray(batch(b"value"))
        old[16] = 1

        assert (await raw.produce(topic, bytes(old))).error == INVALID_RECORD

    async def test_two_batches_for_a_partition_are_refused(self, raw: RawClient, topic: str) -> None:
        assert (await raw.produce(topic, batch(b"a"), batch(b"b"))).error == INVALID_RECORD
        assert (await raw.list_offset(topic, -1))[1] == 0

    async def test_no_batch_is_refused(self, raw: RawClient, topic: str) -> None:
        assert (await raw.produce(topic, b"")).error == INVALID_RECORD
        assert (await raw.produce(topic, b"no batch")).error == INVALID_RECORD

    async def test_a_batch_that_is_cut_off_is_none(self, raw: RawClient, topic: str) -> None:
        assert (await raw.produce(topic, batch(b"value")[:-3])).error == INVALID_RECORD
        assert (await raw.list_offset(topic, -1))[1] == 0

    @pytest.mark.parametrize("codec", CODECS)
    async def test_a_count_that_is_not_that_of_the_offsets_is_refused(
        self, raw: RawClient, topic: str, codec: str
    ) -> None:
        lying = bytearray(batch(b"a", b"b", codec=codec))
        struct.pack_into(">i", lying, 57, 3)

        assert (await raw.produce(topic, with_its_checksum(lying))).error == INVALID_RECORD

    async def test_a_control_batch_is_not_for_clients_to_write(self, raw: RawClient, topic: str) -> None:
        control = bytearray(batch(b"a"))
        struct.pack_into(">h", control, 21, 0x20)

        assert (await raw.produce(topic, with_its_checksum(control))).error == INVALID_RECORD

    async def test_a_batch_of_a_transaction_needs_one(self, raw: RawClient, topic: str) -> None:
        transactional = bytearray(batch(b"a", producer_id=1, epoch=0, sequence=0))
        struct.pack_into(">h", transactional, 21, 0x10)

        assert (
            await raw.produce(topic, with_its_checksum(transactional))
        ).error == TRANSACTIONAL_ID_AUTHORIZATION_FAILED

    async def test_a_time_far_ahead_is_refused(self, raw: RawClient, topic: str) -> None:
        """message.timestamp.after.max.ms is an hour since Kafka 4.0 (KIP-1030)."""
        assert (await raw.produce(topic, batch(b"a", timestamps=(2**42,)))).error == INVALID_TIMESTAMP

    async def test_what_is_refused_leaves_the_partition_and_the_connection_as_they_were(
        self, raw: RawClient, topic: str
    ) -> None:
        await raw.produce(topic, batch(b"before"))
        damaged = batch(b"value")[:-1] + b"?"

        await raw.produce(topic, damaged)

        assert (await raw.produce(topic, batch(b"after"))).offset == 1
        records = records_in((await raw.fetch(topic, 0)).records)
        assert list(records) == [(0, b"before"), (1, b"after")]

    async def test_an_unknown_topic_or_partition_is_told(self, raw: RawClient, topic: str) -> None:
        assert (await raw.produce(fresh_name("topic"), batch(b"a"))).error == UNKNOWN_TOPIC_OR_PARTITION
        assert (await raw.produce(topic, batch(b"a"), partition=1)).error == UNKNOWN_TOPIC_OR_PARTITION
        assert (await raw.produce(topic, batch(b"a"), partition=-1)).error == UNKNOWN_TOPIC_OR_PARTITION


def with_its_checksum(made: bytearray) -> bytes:
    struct.pack_into(">I", made, 17, calc_crc32c(bytes(made[21:])))
    return bytes(made)

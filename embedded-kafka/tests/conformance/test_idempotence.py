"""Idempotent producers: the sequence check of each producer and partition (KIP-98, KIP-360)."""

from .client import Client
from .conftest import Connect, NewTopic
from .names import INVALID_PRODUCER_EPOCH, INVALID_RECORD, NONE, OUT_OF_ORDER_SEQUENCE_NUMBER
from .raw import Produced, RawClient
from .records import Record, batch


async def test_an_idempotent_producers_records_are_there_once_and_in_order(
    client: Client, other: Client, topic: str
) -> None:
    values = [b"%d" % number for number in range(100)]

    places = await client.produce(
        topic, *[Record(value) for value in values], partition=0, codec="zstd", idempotent=True
    )

    assert places == [(0, offset) for offset in range(100)]
    assert [each.value for each in await other.read(topic, 100)] == values


async def test_each_producer_gets_an_id_of_its_own(connect: Connect) -> None:
    one, another = await connect(), await connect()

    got = [await one.init_producer_id(), await another.init_producer_id(), await one.init_producer_id()]

    assert len({producer_id for producer_id, _ in got}) == 3
    assert {epoch for _, epoch in got} == {0}


async def test_a_batch_that_comes_again_gets_its_first_offset_and_is_kept_once(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    await raw.produce(topic, batch(b"somebody else's"))
    sent = batch(b"a", b"b", producer_id=producer_id, epoch=0, sequence=0)

    first = await raw.produce(topic, sent)
    await raw.produce(topic, batch(b"somebody else's"))
    again = await raw.produce(topic, sent)

    assert first == again == Produced(NONE, 1)
    assert (await raw.list_offset(topic, -1))[1] == 4


async def test_any_of_the_last_five_batches_may_come_again(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    sent = [batch(b"%d" % number, producer_id=producer_id, epoch=0, sequence=number) for number in range(6)]
    for each in sent:
        await raw.produce(topic, each)

    again = [await raw.produce(topic, each) for each in sent]

    assert again[1:] == [Produced(NONE, offset) for offset in range(1, 6)]
    assert again[0].error == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert (await raw.list_offset(topic, -1))[1] == 6


async def test_a_gap_in_the_sequence_is_refused(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    await raw.produce(topic, batch(b"a", b"b", producer_id=producer_id, epoch=0, sequence=0))

    late = await raw.produce(topic, batch(b"d", producer_id=producer_id, epoch=0, sequence=3))

    assert late.error == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert (await raw.produce(topic, batch(b"c", producer_id=producer_id, epoch=0, sequence=2))) == Produced(NONE, 2)


async def test_a_batch_that_only_begins_as_one_that_was_kept_is_refused(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    await raw.produce(topic, batch(b"a", b"b", producer_id=producer_id, epoch=0, sequence=0))

    longer = await raw.produce(topic, batch(b"a", b"b", b"c", producer_id=producer_id, epoch=0, sequence=0))

    assert longer.error == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert (await raw.list_offset(topic, -1))[1] == 2


async def test_a_producer_must_number_its_batches(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()

    refused = await raw.produce(topic, batch(b"a", producer_id=producer_id, epoch=0, sequence=-1))

    assert refused.error == INVALID_RECORD
    assert (await raw.list_offset(topic, -1))[1] == 0


async def test_an_older_epoch_is_refused_after_a_newer_one(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    await raw.produce(topic, batch(b"a", producer_id=producer_id, epoch=0, sequence=0))
    await raw.produce(topic, batch(b"b", producer_id=producer_id, epoch=1, sequence=0))

    old = await raw.produce(topic, batch(b"c", producer_id=producer_id, epoch=0, sequence=1))

    assert old.error == INVALID_PRODUCER_EPOCH
    assert (await raw.list_offset(topic, -1))[1] == 2


async def test_a_newer_epoch_begins_at_zero(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    await raw.produce(topic, batch(b"a", producer_id=producer_id, epoch=0, sequence=0))

    assert (
        await raw.produce(topic, batch(b"b", producer_id=producer_id, epoch=1, sequence=1))
    ).error == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert await raw.produce(topic, batch(b"b", producer_id=producer_id, epoch=1, sequence=0)) == Produced(NONE, 1)


async def test_a_producer_that_the_partition_does_not_know_may_begin_anywhere(raw: RawClient, topic: str) -> None:
    """Its earlier batches may have been cut off by retention (KIP-360)."""
    producer_id, _ = await raw.init_producer_id()

    assert await raw.produce(topic, batch(b"a", producer_id=producer_id, epoch=0, sequence=7)) == Produced(NONE, 0)
    assert await raw.produce(topic, batch(b"b", producer_id=producer_id, epoch=0, sequence=8)) == Produced(NONE, 1)


async def test_the_sequence_goes_on_at_zero_after_the_largest_number(raw: RawClient, topic: str) -> None:
    producer_id, _ = await raw.init_producer_id()
    largest = 2**31 - 1
    await raw.produce(topic, batch(b"a", producer_id=producer_id, epoch=0, sequence=largest - 1))

    over_the_edge = batch(b"b", b"c", producer_id=producer_id, epoch=0, sequence=largest)

    assert await raw.produce(topic, over_the_edge) == Produced(NONE, 1)
    assert await raw.produce(topic, over_the_edge) == Produced(NONE, 1)
    assert await raw.produce(topic, batch(b"d", producer_id=producer_id, epoch=0, sequence=1)) == Produced(NONE, 3)


async def test_each_partition_has_a_sequence_of_its_own(raw: RawClient, new_topic: NewTopic) -> None:
    topic = await new_topic(2)
    producer_id, _ = await raw.init_producer_id()
    sent = batch(b"a", producer_id=producer_id, epoch=0, sequence=0)

    assert await raw.produce(topic, sent, partition=0) == Produced(NONE, 0)
    assert await raw.produce(topic, sent, partition=1) == Produced(NONE, 0)
    assert (await raw.list_offset(topic, -1, 0))[1] == (await raw.list_offset(topic, -1, 1))[1] == 1

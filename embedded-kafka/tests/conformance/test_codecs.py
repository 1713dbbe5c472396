"""Records in every codec, from each client to the other, as they were."""

import pytest

from .client import Client
from .conftest import NewTopic
from .raw import RawClient
from .records import CODECS, Record, batches, codec_of

RECORDS = (
    Record(b"value " * 40, b"key", (("trace", b"0af7"), ("empty", b"")), 1_700_000_000_000),
    Record(b"no key", None, (), 1_700_000_000_001),
    Record(None, b"deleted", (("same", b"1"), ("same", b"2")), 1_700_000_000_001),
    Record(b"", b"", (), 1_699_999_999_000),
    Record("grün – 绿".encode(), "schlüssel".encode(), (("größe", bytes(range(256))),), 1_700_000_000_002),
)


@pytest.mark.parametrize("codec", CODECS)
async def test_what_one_client_writes_the_other_reads_as_it_was(
    client: Client, other: Client, topic: str, raw: RawClient, codec: str
) -> None:
    await client.produce(topic, *RECORDS, partition=0, codec=codec)

    read = await other.read(topic, len(RECORDS))

    assert [Record(each.value, each.key, each.headers, each.timestamp_ms) for each in read] == list(RECORDS)
    assert [each.offset for each in read] == list(range(len(RECORDS)))
    stored = (await raw.fetch(topic, 0)).records
    # librdkafka leaves a batch as it is where packing makes it larger, as it may the last if it sends two.
    codecs = [codec_of(each) for each in batches(stored)]
    assert codecs[0] == codec
    assert set(codecs) <= {codec, "none"}


@pytest.mark.parametrize("codec", CODECS)
async def test_a_reader_may_begin_in_the_middle_of_a_batch(
    client: Client, other: Client, topic: str, codec: str
) -> None:
    await client.produce(topic, *RECORDS, partition=0, codec=codec)

    read = await other.read(topic, 2, offset=3)

    assert [(each.offset, each.value) for each in read] == [(3, b""), (4, RECORDS[4].value)]


async def test_a_topic_may_hold_batches_of_all_codecs(client: Client, other: Client, new_topic: NewTopic) -> None:
    topic = await new_topic()

    for codec in CODECS:
        await client.produce(topic, Record(codec.encode()), Record(codec.encode()), partition=0, codec=codec)

    read = await other.read(topic, 2 * len(CODECS))
    assert [each.value for each in read] == [codec.encode() for codec in CODECS for _ in range(2)]

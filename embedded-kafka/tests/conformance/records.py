"""Records as tests write and read them, and record batches made byte by byte with aiokafka's builder."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
"""In the order of their numbers in a batch's attributes."""


@dataclass(frozen=True)
class Record:
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None
    """None lets the client take the time."""


@dataclass(frozen=True)
class Stored(Record):
    """A record as it was read."""

    partition: int = 0
    offset: int = -1


def batch(
    *values: bytes,
    timestamps: tuple[int, ...] = (),
    codec: str = "none",
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    magic: int = 2,
) -> bytes:
    """Without timestamps the records are of 1000, 1001, ... ms after 1970."""
    builder = DefaultRecordBatchBuilder(magic, CODECS.index(codec), 0, producer_id, epoch, sequence, 2**24)
    for index, value in enumerate(values):
        timestamp = timestamps[index] if timestamps else 1000 + index
        builder.append(index, timestamp, None, value, [])
    return bytes(builder.build())


def batch_of_size(size: int) -> bytes:
    """An uncompressed batch of one record that has exactly so many bytes."""
    made = batch(bytes(size - 100))
    return made if len(made) == size else batch(bytes(size - 100 + size - len(made)))


def batches(log: bytes | None) -> list[bytes]:
    """The whole record batches of a fetch's answer; a last one that is cut off is left out, as clients do."""
    found, position = [], 0
    data = log or b""
    while position + 12 <= len(data):
        end = position + 12 + struct.unpack_from(">i", data, position + 8)[0]
        if end > len(data):
            break
        found.append(data[position:end])
        position = end
    return found


def records_in(log: bytes | None) -> Iterable[tuple[int, bytes | None]]:
    """Offset and value of each."""
    for each in batches(log):
        for record in DefaultRecordBatch(each):
            yield record.offset, record.value


def codec_of(stored_batch: bytes) -> str:
    attributes = struct.unpack_from(">h", stored_batch, 21)[0]
    return CODECS[attributes & 0x07]

"""Record batches of format v2: their header, their checksum, and the time of their records. Values are never touched.

The format is described at https://kafka.apache.org/documentation/#recordbatch (KIP-98, KIP-82).
"""

import mmap
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

import cramjam
import google_crc32c

from .errors import ErrorCode, KafkaError
from .wire import Buffer

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
_BLOCK_LENGTH = struct.Struct(">I")
LENGTH_AT_BYTE = 12  # the length field counts what follows it
NO_PRODUCER = -1

_CHECKED_FROM_BYTE = 21  # the checksum covers attributes and all that follows: offset and epoch can be patched freely
_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_MOST_AHEAD_MS = 3_600_000  # message.timestamp.after.max.ms
_UNPACKED_BYTES = 4 * 1024 * 1024  # a bound for what a few bytes can blow up to
_LEAST_RECORD_BYTES = 6
_XERIAL = b"\x82SNAPPY\x00"  # how Java frames snappy: this, two versions, and then blocks with their length
_XERIAL_HEADER_BYTES = 16


class BatchHeader(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size_bytes(self) -> int:
        return self.length + LENGTH_AT_BYTE

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> str:
        return _CODECS[self.attributes & _CODEC]


def read_header(data: Buffer | mmap.mmap, position: int = 0) -> BatchHeader:
    """Raises struct.error if fewer than 61 bytes are there."""
    return BatchHeader._make(_HEADER.unpack_from(data, position))


def is_intact(batch: Buffer, header: BatchHeader) -> bool:
    return int(google_crc32c.value(bytes(batch[_CHECKED_FROM_BYTE : header.size_bytes]))) == header.checksum


def check_produced(records: Buffer | None, *, max_bytes: int) -> tuple[BatchHeader, memoryview]:
    """Header and bytes of the one batch that a Produce request from version 3 on may carry for a partition."""
    if records is None or len(records) < HEADER_BYTES:
        raise KafkaError(ErrorCode.INVALID_RECORD, "There must be one record batch for each partition.")
    header = read_header(records)
    if header.magic != 2:
        raise KafkaError(ErrorCode.INVALID_RECORD, "Only record batches of format v2 are kept.")
    if header.size_bytes != len(records):
        raise KafkaError(ErrorCode.INVALID_RECORD, "There must be exactly one whole record batch for each partition.")
    if header.size_bytes > max_bytes:
        raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"A batch may have {max_bytes} bytes.")
    if not is_intact(records, header):
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "The batch's checksum does not match.")
    if header.record_count < 1 or header.record_count != header.last_offset_delta + 1:
        raise KafkaError(ErrorCode.INVALID_RECORD, "The batch's count of records and its last offset disagree.")
    if header.producer_id != NO_PRODUCER and header.base_sequence < 0:
        raise KafkaError(ErrorCode.INVALID_RECORD, "A producer that has an id must number its batches.")
    if header.max_timestamp > time.time() * 1000 + _MOST_AHEAD_MS:
        raise KafkaError(ErrorCode.INVALID_TIMESTAMP, "A record's time may be an hour ahead.")
    if header.attributes & (_CONTROL | _LOG_APPEND_TIME):
        raise KafkaError(ErrorCode.INVALID_RECORD, "Control batches and log append time are the broker's to write.")
    if header.attributes & _TRANSACTIONAL:
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "There are no transactions here.")
    if header.attributes & _CODEC >= len(_CODECS):
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"The codecs are {', '.join(_CODECS)}.")
    return header, memoryview(records)


def first_at_or_after(batch: Buffer, header: BatchHeader, timestamp_ms: int) -> tuple[int, int] | None:
    """Offset and timestamp of the first record of that time or later.

    Of a batch that can't be unpacked (its producer's fault: its checksum is right), or to more than 4 MiB, it is the
    first record, so that a reader who starts there sees too much rather than too little.
    """
    if header.max_timestamp < timestamp_ms:
        return None
    first = header.base_offset, header.base_timestamp
    try:
        body = _unpacked(header.codec, memoryview(batch)[HEADER_BYTES : header.size_bytes])
        found = (place for place in _places(body, header) if place[1] >= timestamp_ms)
        offset, timestamp = next(found, first)
    except (IndexError, ValueError, struct.error, cramjam.DecompressionError):
        return first
    possible = header.base_offset <= offset < header.next_offset and timestamp <= header.max_timestamp
    return (offset, timestamp) if possible else first


def _unpacked(codec: str, body: memoryview) -> Buffer:
    if codec == "none":
        return body
    unpacked, size_bytes = memoryview(bytearray(_UNPACKED_BYTES)), 0
    if codec != "snappy":
        size_bytes = getattr(cramjam, codec).decompress_into(body, unpacked)
        return unpacked[:size_bytes]
    for block in _snappy_blocks(body):
        size_bytes += cramjam.snappy.decompress_raw_into(block, unpacked[size_bytes:])
    return unpacked[:size_bytes]


def _snappy_blocks(body: memoryview) -> Iterator[memoryview]:
    if body[: len(_XERIAL)] != _XERIAL:
        yield body
        return
    position = _XERIAL_HEADER_BYTES
    while position < len(body):
        (length,) = _BLOCK_LENGTH.unpack_from(body, position)
        position += _BLOCK_LENGTH.size + length
        yield body[position - length : position]


def _places(body: Buffer, header: BatchHeader) -> Iterator[tuple[int, int]]:
    position = 0
    for _ in range(header.record_count):
        length, start = _varint(body, position)
        if length < _LEAST_RECORD_BYTES:
            raise ValueError("no record")
        timestamp_delta, position = _varint(body, start + 1)  # after the attributes
        offset_delta, _ = _varint(body, position)
        yield header.base_offset + offset_delta, header.base_timestamp + timestamp_delta
        position = start + length


def _varint(data: Buffer, position: int) -> tuple[int, int]:
    """A zigzag varint and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
    raise ValueError("no varint")

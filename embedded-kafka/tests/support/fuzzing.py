"""What hypothesis sends to a broker: values of every field, bytes that are broken, batches that are none."""

import gzip
import os
import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import cramjam
from aiokafka.protocol.types import Array, Boolean, Bytes, Int8, Int16, Int32, Int64, Schema, String
from aiokafka.record.util import calc_crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .batches import batch
from .structs import REQUESTS, frame, framed

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""How many for each test: long runs draw anew each time, `make test` always draws the same few."""


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        # One broker lives through all examples of a test: that it survives them is what is tested.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def drawn(strategy: st.SearchStrategy[bytes], count: int) -> list[bytes]:
    found: list[bytes] = []

    @given(strategy)
    @fuzz(count)
    def collect(one: bytes) -> None:
        found.append(one)

    collect()
    return found


# Values

TOPICS = ("t", "u")
GROUPS = ("g", "h")
_INTEGERS = {Int8: 8, Int16: 16, Int32: 32, Int64: 64}
_STRINGS = st.one_of(
    st.sampled_from(
        [*TOPICS, *GROUPS, "", "no-such", ".", "range", "consumer", "retention.ms", "segment.bytes", "100"]
    ),
    st.text(max_size=20),
    st.builds(lambda character, count: character * count, st.sampled_from("x\0'é"), st.sampled_from([249, 250, 8000])),
    st.sampled_from(["x" * 32767, "\0" * 32767]),
)
_BATCHES = st.builds(
    batch,
    st.binary(max_size=20),
    producer_id=st.integers(-1, 3),
    epoch=st.integers(-1, 2),
    sequence=st.integers(-1, 3),
    codec=st.sampled_from([0, 1]),
)


def _integers(bits: int) -> st.SearchStrategy[int]:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.one_of(st.integers(-2, 3), st.sampled_from([least, most, least + 1, most - 1]), st.integers(least, most))


def values(field: Any, *, nulls: bool) -> st.SearchStrategy[Any]:
    """Of a field of a Schema, of any size that is legal on the wire; what may be null in Kafka, or anything, is so."""
    null = st.none() if nulls else st.nothing()
    if isinstance(field, Schema):
        return st.tuples(*[values(each, nulls=nulls) for each in field.fields])
    if isinstance(field, Array):
        one = values(field.array_of, nulls=nulls)
        few = st.lists(one, max_size=3)
        return few | st.builds(lambda value: [value] * (40 if _is_small(field, value) else 2), one) | null
    if isinstance(field, String):
        return _STRINGS | null
    if field is Bytes:
        return _BATCHES | st.binary(max_size=100) | null
    if field is Boolean:
        return st.booleans()
    return _integers(_INTEGERS[field])


def _is_small(field: Array, value: Any) -> bool:
    return len(field.encode([value])) < 200


@cache  # strategies are dear to make
def requests(*, nulls: bool) -> st.SearchStrategy[Any]:
    """Of all APIs."""

    def of(kind: Any) -> st.SearchStrategy[Any]:
        return st.builds(kind, *[values(field, nulls=nulls) for field in kind.SCHEMA.fields])

    return st.one_of([of(kind) for kind in REQUESTS])


def answers_at_once(request: Any) -> bool:
    """Others may wait for records or members, or have no answer."""
    name = type(request).__name__
    if name.startswith("Fetch"):
        return bool(request.max_wait_time <= 0)
    if name.startswith("Produce"):
        return bool(request.required_acks != 0)
    return not name.startswith(("JoinGroup", "SyncGroup"))


# Broken bytes

_COUNTS = [-(2**31), -2, -1, 0, 1, 65535, 99_999, 100_000, 2**24, 2**31 - 1]
_LENGTHS = [-(2**15), -2, -1, 0, 1, 2**15 - 1]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request with bytes flipped, cut out, repeated or taken for a length; mostly its frame fits again afterwards."""
    message = bytearray(frame(draw(requests(nulls=True)))[4:])
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(chance.randrange(1, 4)):
        _mutate(message, chance)
    size = chance.choice(_COUNTS) if chance.random() < 0.1 else len(message)
    return struct.pack(">i", size) + message


def _mutate(message: bytearray, chance: random.Random) -> None:
    # What decides (key, version, counts) stands in the beginning.
    at = min(chance.randrange(len(message) + 1), chance.randrange(len(message) + 1))
    match chance.choice(["flip", "cut", "short", "repeat", "count", "length", "insert"]):
        case "flip" if at < len(message):
            message[at] ^= 1 << chance.randrange(8)
        case "cut":
            del message[at : at + chance.randrange(1, 9)]
        case "short":
            del message[at:]
        case "repeat":
            message[at:at] = message[at : at + chance.randrange(1, 64)] * chance.randrange(1, 50)
        case "count":
            message[at : at + 4] = struct.pack(">i", chance.choice(_COUNTS))
        case "length":
            message[at : at + 2] = struct.pack(">h", chance.choice(_LENGTHS))
        case _:
            message[at:at] = chance.randbytes(chance.randrange(1, 9))


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Anything behind a header of any API in any version."""
    known = st.sampled_from([(kind.API_KEY, kind.API_VERSION) for kind in REQUESTS])
    key, version = draw(known | st.tuples(st.integers(-1, 100), st.integers(-1, 20)) | st.tuples(*[_integers(16)] * 2))
    client_id = draw(st.sampled_from([b"\0\4fuzz", b"\xff\xff", b"\0\0", b"\xff\xfe", b"\0\2\xff\xff", b"\x7f\xff"]))
    return framed(key, version, draw(st.binary(max_size=200)), draw(_integers(32)), client_id)


# Batches

_BATCH = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM_BYTE = 21
NO_PRODUCER = -1
PACKERS: dict[int, Callable[[bytes], bytes]] = {
    1: gzip.compress,
    2: lambda content: bytes(cramjam.snappy.compress_raw(content)),
    3: lambda content: bytes(cramjam.lz4.compress(content)),
    4: lambda content: bytes(cramjam.zstd.compress(content)),
}
"""By the number of the codec."""


LATEST = 1_700_000_000_000
"""The largest time that is given: one that is far ahead would be refused."""


def forged_batch(
    body: bytes,
    *,
    count: int = 1,
    attributes: int = 0,
    first_timestamp: int = 0,
    max_timestamp: int = LATEST,
    last_offset_delta: int | None = None,
    producer: tuple[int, int, int] = (NO_PRODUCER, -1, -1),
    length_off_by: int = 0,
    magic: int = 2,
    base_offset: int = 0,
    intact: bool = True,
) -> bytes:
    """Anything that passes for a batch because its checksum is right."""
    delta = max(count, 1) - 1 if last_offset_delta is None else last_offset_delta
    times = first_timestamp, max_timestamp
    length = _BATCH.size - 12 + len(body) + length_off_by
    made = bytearray(_BATCH.pack(base_offset, length, -1, magic, 0, attributes, delta, *times, *producer, count) + body)
    checksum = calc_crc32c(bytes(made[_CHECKED_FROM_BYTE:])) ^ (not intact)
    struct.pack_into(">I", made, 17, checksum)
    return bytes(made)


def producer_of(forged: bytes) -> int:
    """A batch of somebody else's may be taken for one that is there already."""
    return int.from_bytes(forged[43:51], "big", signed=True)


def varint(value: int) -> bytes:
    """Zigzag, of 64 bits."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def record(timestamp_delta: int, offset_delta: int, *, length: int | None = None) -> bytes:
    """Without key, value and headers; a length that is not its own may be claimed."""
    content = b"\0" + varint(timestamp_delta) + varint(offset_delta) + b"\1\1\0"
    return varint(len(content) if length is None else length) + content


_BODIES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.builds(record, _integers(64), _integers(32), length=st.none() | _integers(16)), max_size=4).map(
        b"".join
    ),
    st.builds(lambda byte, count: bytes([byte]) * count, st.integers(0, 255), st.sampled_from([1, 10, 1000, 20_000])),
)


@st.composite
def forged_batches(draw: st.DrawFn) -> bytes:
    plausible = draw(st.booleans())  # else most would be refused for one of many reasons
    codec = draw(st.integers(0, 7))
    body = draw(_BODIES)
    if codec in PACKERS and draw(st.booleans()):
        body = PACKERS[codec](body * draw(st.sampled_from([1, 100])))
    count = draw(st.sampled_from([1, 2, 1000, 2**31 - 1]) | _integers(32))
    times = st.sampled_from([0, 1000, 2**63 - 1, -(2**63)]) | _integers(64)
    common: dict[str, Any] = {"attributes": codec, "first_timestamp": draw(times)}
    if plausible:
        return forged_batch(body, count=max(1, count), **common)
    common["max_timestamp"] = draw(times)
    common["attributes"] |= draw(st.sampled_from([0, 0, 8, 16, 32, 0x7FC0, -0x8000]))
    return forged_batch(
        body,
        count=count,
        last_offset_delta=draw(st.none() | _integers(32)),
        producer=draw(st.tuples(st.integers(-2, 2), _integers(16), _integers(32))),
        length_off_by=draw(st.sampled_from([0, 0, 0, -1, 1, -61, 2**30, -(2**30)])),
        magic=draw(st.sampled_from([2, 2, 2, 0, 1, 3, -1])),
        base_offset=draw(_integers(64)),
        intact=draw(st.integers(0, 4)) > 0,
        **common,
    )

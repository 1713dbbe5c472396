"""Fuzz: whatever is sent to the broker costs the one who sends it his connection at most.

A few examples, always the same, in `make test`; many, and new ones, with FUZZ_EXAMPLES=5000 (for each test).
"""

import asyncio
import gc
import gzip
import random
import struct
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.admin import (
    ApiVersionRequest_v0,
    CreateTopicsRequest_v3,
    DeleteGroupsRequest_v1,
    DeleteTopicsRequest_v3,
    DescribeConfigsRequest_v1,
    DescribeGroupsRequest_v0,
)
from aiokafka.protocol.commit import OffsetCommitRequest_v3, OffsetFetchRequest_v3
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.group import JoinGroupRequest_v2
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v3
from aiokafka.protocol.produce import ProduceRequest_v7
from hypothesis import given, note
from hypothesis import strategies as st
from support.fuzzing import (
    EXAMPLES,
    LATEST,
    NO_PRODUCER,
    PACKERS,
    answers_at_once,
    drawn,
    forged_batch,
    forged_batches,
    fuzz,
    mutated,
    noise,
    producer_of,
    record,
    requests,
    varint,
)
from support.group_walk import GroupWalk, Member
from support.structs import Peer, answer_to, frame, framed
from support.target import Target
from support.waiting import until

# A text of 32 KiB is long in a report, but such are sent.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    async with Target.started(tmp_path) as target:
        yield target


# Requests


@given(message=noise())
@fuzz(150)
async def test_noise_behind_any_header_hurts_nobody_else(target: Target, message: bytes) -> None:
    note(f"sent: {message.hex()}")

    answers = await target.hit(message)

    assert [correlation_id for correlation_id, _ in answers] in ([], [struct.unpack_from(">i", message, 8)[0]])
    await target.check()


@given(request=requests(nulls=False))
@fuzz(200)
async def test_every_request_that_is_well_formed_is_answered(target: Target, request: Any) -> None:
    message = frame(request, correlation_id=7)
    note(f"sent: {message.hex()}")

    answers = await target.hit(message)

    assert len(answers) == 1 or (not answers and not answers_at_once(request))
    for correlation_id, body in answers:
        assert correlation_id == 7
        answer_to(request, body)
    await target.check()


@given(message=mutated())
@fuzz(200)
async def test_a_request_that_is_broken_hurts_nobody_else(target: Target, message: bytes) -> None:
    note(f"sent: {message.hex()}")

    answers = await target.hit(message)

    assert len(answers) <= 1
    await target.check()


@given(
    several=st.lists(requests(nulls=False).filter(answers_at_once), min_size=1, max_size=6),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    bad_size=st.none() | st.sampled_from([0, -1, -(2**31), 2**31 - 1]),
)
@fuzz(80)
async def test_requests_are_answered_in_their_order_however_they_are_cut(
    target: Target, several: list[Any], cuts: list[float], bad_size: int | None
) -> None:
    sent = b"".join(frame(request, correlation_id) for correlation_id, request in enumerate(several))
    if bad_size is not None:
        sent += struct.pack(">i", bad_size) + frame(ApiVersionRequest_v0())
    places = [0, *sorted(int(cut * len(sent)) for cut in cuts), len(sent)]
    note(f"sent: {sent.hex()}, cut at {places}")

    answers = await target.hit(*[sent[start:end] for start, end in pairwise(places)])

    assert [correlation_id for correlation_id, _ in answers] == list(range(len(several)))
    for request, (_, body) in zip(several, answers, strict=True):
        answer_to(request, body)
    await target.check()


@pytest.mark.parametrize("length", [255, 32730, 32767])
async def test_a_client_may_have_a_long_name(target: Target, length: int) -> None:
    """The id of a member is made of it."""
    request = JoinGroupRequest_v2("g", 1000, 1000, "", "consumer", [("range", b"")])
    client_id = struct.pack(">h", length) + b"c" * length

    async with await Peer.connect(target.bootstrap) as peer:
        peer.writer.write(framed(request.API_KEY, request.API_VERSION, request.encode(), client_id=client_id))
        async with asyncio.timeout(5):
            size, _ = struct.unpack(">ii", await peer.reader.readexactly(8))
            answer = answer_to(request, await peer.reader.readexactly(size - 4))

    assert answer.error_code == 0
    assert answer.member_id == answer.leader_id
    await target.check()


# Batches


@given(forged=forged_batches(), times=st.lists(st.integers(-2, LATEST) | st.integers(-2, 2**63 - 1), max_size=3))
@fuzz(150)
async def test_a_batch_that_holds_no_records_is_refused_or_kept_as_it_is(
    target: Target, forged: bytes, times: list[int]
) -> None:
    note(f"produced: {forged.hex()}")
    await _is_refused_or_kept(target, forged, [0, 1, 1001, *times])


_GZIP = 1
_LARGEST_BATCH_BYTES = 1024 * 1024
_MOST_UNPACKED_BYTES = 4 * 1024 * 1024
_MOST_RECORDS = 2**31 - 1


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(
            forged_batch(varint(-1) * 100, count=_MOST_RECORDS, first_timestamp=-(2**62)),
            id="a record that ends before it begins",
        ),
        pytest.param(forged_batch(b"\x80" * 1_000_000, count=1), id="a number without an end"),
        pytest.param(
            forged_batch(
                gzip.compress(b"\x80" * 50_000_000), count=_MOST_RECORDS, attributes=_GZIP, first_timestamp=-(2**62)
            ),
            id="a number without an end, packed",
        ),
        pytest.param(
            forged_batch(b"\0" * 1_000_000, count=_MOST_RECORDS, first_timestamp=-(2**62)), id="records without bytes"
        ),
        pytest.param(
            forged_batch(
                gzip.compress(b"\0" * 60_000_000), count=_MOST_RECORDS, attributes=_GZIP, first_timestamp=-(2**62)
            ),
            id="records without bytes, packed",
        ),
        pytest.param(
            forged_batch(
                gzip.compress(record(0, 0) * 8_000_000), count=8_000_000, attributes=_GZIP, first_timestamp=-(2**62)
            ),
            id="very many records, packed",
        ),
        pytest.param(
            forged_batch(record(2**62, 0), first_timestamp=2**62),
            id="a time beyond all times",
        ),
        pytest.param(forged_batch(record(5, 2**62)), id="an offset beyond all offsets"),
        pytest.param(forged_batch(record(5, -5)), id="an offset before its batch"),
    ],
)
async def test_a_bomb_does_not_keep_the_broker_busy(target: Target, forged: bytes) -> None:
    await _is_refused_or_kept(target, forged, [LATEST])


@pytest.mark.parametrize("codec", PACKERS)
async def test_a_bomb_takes_no_more_memory_than_is_unpacked_at_the_most(target: Target, codec: int) -> None:
    packed = PACKERS[codec](b"\0" * 20_000_000)
    forged = forged_batch(packed, count=_MOST_RECORDS, attributes=codec, first_timestamp=-(2**62))

    with _memory() as memory:
        await _is_refused_or_kept(target, forged, [LATEST])

    assert memory.peak_bytes < _MOST_TIMES_ITS_SIZE * len(packed) + _LARGEST_BATCH_BYTES + _MOST_UNPACKED_BYTES


async def _is_refused_or_kept(target: Target, forged: bytes, times: list[int]) -> None:
    [(_, body)] = await target.hit(frame(request := ProduceRequest_v7(None, -1, 100, [("t", [(0, forged)])])))
    _, error_code, offset, _, _ = answer_to(request, body).topics[0][1][0]
    if error_code == 0 and producer_of(forged) == NO_PRODUCER:
        # Its offset, and the leader's epoch, are the broker's to write; they are before what is checksummed.
        assert forged[16:] in await target.bystander.fetch("t", 0, offset)
    start, end = [(await target.bystander.offset_at("t", 0, which))[1] for which in (-2, -1)]
    for time in times:
        [(_, body)] = await target.hit(frame(asked := OffsetRequest_v3(-1, 0, [("t", [(0, time)])])))
        _, error_code, _, found = answer_to(asked, body).topics[0][1][0]
        assert error_code == 0
        assert start <= found < end or found == -1 or (time in (-1, -2) and start <= found <= end)
    await target.check()


# Memory

_REQUESTS = min(EXAMPLES, 2000) or 60
_PASSES = 3
_PARTITIONS = 50
_METADATA_CHARACTERS = 4000
_REQUEST_BYTES = 30_000
_MOST_TIMES_ITS_SIZE = 250  # an object of Python's takes that much more than the two bytes of an empty name


@dataclass
class _Memory:
    """Of this process, more than before."""

    peak_bytes: int = 0
    kept_bytes: int = 0


@contextmanager
def _memory() -> Iterator[_Memory]:
    memory = _Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.kept_bytes, memory.peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def _as_many(make: Any, element: Any) -> bytes:
    """A request with that element so often that it is large."""
    each = len(frame(make([element, element]))) - len(frame(make([element])))
    return frame(make([element] * (_REQUEST_BYTES // each)))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(_as_many(lambda names: MetadataRequest_v5(names, False), "wide"), id="Metadata, one topic"),
        pytest.param(_as_many(lambda names: MetadataRequest_v5(names, False), ""), id="Metadata, no names"),
        pytest.param(
            _as_many(lambda resources: DescribeConfigsRequest_v1(resources, True), (2, "wide", None)),
            id="DescribeConfigs, one topic",
        ),
        pytest.param(_as_many(DescribeGroupsRequest_v0, "large"), id="DescribeGroups, one group"),
        pytest.param(_as_many(DeleteGroupsRequest_v1, "no"), id="DeleteGroups, one group"),
        pytest.param(_as_many(lambda names: DeleteTopicsRequest_v3(names, 1), "no"), id="DeleteTopics, one topic"),
        pytest.param(
            _as_many(lambda indexes: OffsetFetchRequest_v3("large", [("wide", indexes)]), 0),
            id="OffsetFetch, one partition",
        ),
        pytest.param(
            _as_many(lambda topics: OffsetFetchRequest_v3("large", topics), ("wide", [0])), id="OffsetFetch, one topic"
        ),
        pytest.param(
            _as_many(lambda wanted: OffsetCommitRequest_v3("new", -1, "", -1, [("wide", wanted)]), (0, 5, "")),
            id="OffsetCommit, one partition",
        ),
        pytest.param(
            _as_many(
                lambda wanted: FetchRequest_v11(-1, 0, 1, 2**31 - 1, 0, 0, -1, [("wide", wanted)], [], ""),
                (0, -1, 0, -1, 2**31 - 1),
            ),
            id="Fetch, one partition",
        ),
        pytest.param(
            _as_many(
                lambda wanted: FetchRequest_v11(-1, 1000, 2**31 - 1, 2**31 - 1, 0, 0, -1, [("wide", wanted)], [], ""),
                (1, -1, 0, -1, 2**31 - 1),
            ),
            id="Fetch that waits, one partition",
        ),
        pytest.param(
            _as_many(lambda wanted: OffsetRequest_v3(-1, 0, [("wide", wanted)]), (0, 5)),
            id="ListOffsets, one partition",
        ),
        pytest.param(_as_many(lambda topics: OffsetRequest_v3(-1, 0, topics), ("", [])), id="ListOffsets, no topics"),
        pytest.param(
            _as_many(lambda wanted: ProduceRequest_v7(None, -1, 1, [("wide", wanted)]), (0, b"")),
            id="Produce, one partition",
        ),
        pytest.param(
            _as_many(lambda topics: CreateTopicsRequest_v3(topics, 1, True), ("\0" * 9, 1, 1, [], [])),
            id="CreateTopics, one topic",
        ),
        pytest.param(
            _as_many(lambda pairs: CreateTopicsRequest_v3([("new", -1, -1, pairs, [])], 1, True), (0, [1])),
            id="CreateTopics, one assignment",
        ),
        pytest.param(
            _as_many(lambda protocols: JoinGroupRequest_v2("one", 1000, 1000, "", "c", protocols), ("r", b"")),
            id="JoinGroup, one protocol",
        ),
    ],
)
async def test_a_request_takes_memory_in_proportion_to_its_size(target: Target, message: bytes) -> None:
    peer = target.bystander
    await peer.create_topic("wide", _PARTITIONS)
    await peer.produce("wide", 0, forged_batch(b"x" * 20_000))
    topics = [("wide", [(0, 1, "m" * _METADATA_CHARACTERS)])]
    await peer.ask(OffsetCommitRequest_v3("large", -1, "", -1, topics))
    await Member(peer, "large").become_stable(b"m" * _METADATA_CHARACTERS)
    await target.hit(frame(ApiVersionRequest_v0()))

    with _memory() as memory:
        await target.hit(message, seconds=60)  # tracemalloc is slow

    # The test's own copies of the request and of the answer are in it.
    assert memory.peak_bytes < _MOST_TIMES_ITS_SIZE * _REQUEST_BYTES
    assert memory.kept_bytes < 2 * _REQUEST_BYTES + 500_000  # Python keeps freed tuples for its next ones
    await target.check()


async def test_memory_does_not_grow_with_the_number_of_requests(target: Target) -> None:
    messages = drawn(mutated() | noise(), _REQUESTS)
    sizes_bytes = []
    tracemalloc.start()
    try:
        for _ in range(_PASSES):
            for message in messages:
                await target.hit(message)
                await target.check()
            gc.collect()
            ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/embedded_kafka/*")])
            sizes_bytes.append(sum(trace.size for trace in ours.traces))
    finally:
        tracemalloc.stop()

    # Caches are full after the first pass; records that were produced leave something in their log's index.
    assert sizes_bytes[-1] - sizes_bytes[0] < 10_000, sizes_bytes


# Groups


@pytest.mark.parametrize("seed", range(EXAMPLES // 500 or 1))
async def test_a_group_whose_members_do_anything_hangs_nobody_and_ends_empty(target: Target, seed: int) -> None:
    """Several groups at the same time, the members of each at the same time."""
    chance = random.Random(seed if EXAMPLES == 0 else None)
    groups = [GroupWalk(target.bootstrap, f"group-{index}", chance.randrange(2**32)) for index in range(5)]

    async with asyncio.TaskGroup() as tasks:
        for group in groups:
            tasks.create_task(group.run(members=5, steps=20))

    for group in groups:
        assert len(group.assigned) > 3, f"seed {group.seed}"
        # Those who left are gone, those who vanished are missed in time.
        await until(partial(target.is_empty, group.name))
    await target.check()

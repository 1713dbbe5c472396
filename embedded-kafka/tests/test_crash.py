"""SIGKILL under load: what was acknowledged is there after the restart, once and in its order.

A few rounds in `make test`; CRASH_ROUNDS=50 for many, with new seeds; CRASH_SEEDS=17,4 for these again.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batches import batch
from support.load import Load, Place
from support.process import BrokerProcess
from support.structs import Peer

from embedded_kafka import EmbeddedKafka

_GIVEN, _ROUNDS = os.environ.get("CRASH_SEEDS"), int(os.environ.get("CRASH_ROUNDS", "0"))
_DRAWN = random.sample(range(1_000_000), _ROUNDS)
_SEEDS = [int(seed) for seed in _GIVEN.split(",")] if _GIVEN else _DRAWN or [1, 2, 3]
_KILLS = 3 if _GIVEN or _ROUNDS else 1
"""Under load; one more follows when it has ended."""


@pytest.fixture(scope="module")
def totals() -> Iterator[Counter[str]]:
    """Shown in the end, with `-s`."""
    totals: Counter[str] = Counter()
    yield totals
    sys.stdout.write(f"\nIn all: {dict(totals)}\n")


class TestAKilledProcess:
    @pytest.mark.parametrize("seed", _SEEDS)
    async def test_every_acknowledged_record_and_commit_is_there_once_and_in_order(
        self, tmp_path: Path, seed: int, totals: Counter[str]
    ) -> None:
        chance = random.Random(seed)
        partitions = {"t": chance.randrange(1, 4), "u": chance.randrange(1, 4)}
        async with BrokerProcess(tmp_path) as broker:
            async with await Peer.connect(broker.bootstrap) as peer:
                for topic, count in partitions.items():
                    await peer.create_topic(topic, count, segment_bytes=str(chance.choice([500, 1000, 3000])))
            async with Load(broker.bootstrap, partitions) as load:
                for _ in range(_KILLS):
                    # Not a wait for something to happen: the moment of the kill is what is drawn.
                    await asyncio.sleep(chance.uniform(0.02, 0.4))
                    await broker.kill()
                    if chance.random() < 0.5:
                        _tear(tmp_path, *chance.choice(load.places), chance)
                    await broker.start()
                    await _check(load, broker.bootstrap)
                await load.stop()
            await broker.kill()
            await broker.start()
            records = await _check(load, broker.bootstrap)

        acknowledged = sum(len(writer.acknowledged) for writer in load.writers)
        commits = sum(len(commits.acknowledged) for commits in load.commits)
        segments = sum(_segments(tmp_path, *place) for place in load.places)
        round_counts = {"kills": _KILLS + 1, "acknowledged": acknowledged, "kept": records, "segments": segments}
        totals.update(round_counts)
        sys.stdout.write(f"\nseed {seed}: {round_counts}, {commits} partitions with commits\n")
        for writer in load.writers:
            assert not writer.failures
            assert len(writer.acknowledged) == writer.sent > 0, writer.name
        assert segments > len(load.places)
        assert load.topic_maker.there

    async def test_an_acknowledged_commit_is_never_taken_back(self, tmp_path: Path) -> None:
        chance = random.Random(4)
        acknowledged = 0

        async def commit(peer: Peer) -> None:
            nonlocal acknowledged
            while await peer.commit("g", {("t", 0): acknowledged + 1}) == [0]:
                acknowledged += 1

        async with BrokerProcess(tmp_path) as broker:
            async with await Peer.connect(broker.bootstrap) as peer:
                await peer.create_topic("t")
            for _ in range(3):
                async with await Peer.connect(broker.bootstrap) as peer:
                    committing = asyncio.create_task(commit(peer))
                    await asyncio.sleep(chance.uniform(0.01, 0.1))
                    await broker.kill()
                    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                        await committing
                await broker.start()

                async with await Peer.connect(broker.bootstrap) as peer:
                    kept = (await peer.committed("g"))["t", 0]
                # One more may have been written whose acknowledgement was not heard.
                assert kept in (acknowledged, acknowledged + 1)
                acknowledged = kept
        assert acknowledged > 20


async def _check(load: Load, bootstrap: str) -> int:
    """Against what was acknowledged up to now, while the load goes on; how many records there are."""
    acknowledged = [dict(writer.acknowledged.copy()) for writer in load.writers]
    commits = [(each.group, dict(each.acknowledged)) for each in load.commits]
    topics_there, topics_gone = set(load.topic_maker.there), set(load.topic_maker.gone)
    async with await Peer.connect(bootstrap) as peer:
        committed = [await peer.committed(group) for group, _ in commits]
        records = {place: await peer.records(*place) for place in load.places}
        topics = set(await peer.topics())

    for writer, theirs in zip(load.writers, acknowledged, strict=True):
        for (topic, partition, offset), value in theirs.items():
            assert records[topic, partition].get(offset) == value, f"{writer.name}: {topic} {partition} {offset}"
        for place in load.places:
            numbers = _numbers(records[place], writer.name)
            first_times = list(dict.fromkeys(numbers))
            assert first_times == sorted(first_times), f"{writer.name} is not in order in {place}"
            assert numbers == first_times or not writer.idempotent, f"{writer.name} is there twice in {place}"
    for (group, heard), kept in zip(commits, committed, strict=True):
        for place, offset in heard.items():
            assert kept[place] >= offset, f"{group} {place}"
        for place, offset in kept.items():
            assert offset <= len(records[place]), f"{group} {place}"
    assert topics_there <= topics
    assert not topics_gone & topics
    return sum(map(len, records.values()))


def _numbers(values: dict[int, bytes], name: str) -> list[int]:
    split = [value.split() for value in values.values()]
    return [int(number) for writer, number in split if writer == name.encode()]


def _segments(data: Path, topic: str, partition: int) -> int:
    return len(list((data / "topics" / f"{topic}-{partition}").glob("*.log")))


def _last_segment(data: Path, topic: str, partition: int) -> Path:
    return max((data / "topics" / f"{topic}-{partition}").glob("*.log"))


def _tear(data: Path, topic: str, partition: int, chance: random.Random) -> None:
    """As a write that was torn would have left it."""
    torn = batch(b"torn" * 10)
    with _last_segment(data, topic, partition).open("ab") as file:
        file.write(torn[: chance.randrange(1, len(torn))])


class TestATornFile:
    """By the kill itself, or by a disk that has kept the length of a file, but not all of its content."""

    @pytest.mark.parametrize("segment_bytes", ["100000", "100"], ids=["in a long segment", "alone in its segment"])
    async def test_a_torn_last_batch_is_cut_off_wherever_it_was_torn(self, tmp_path: Path, segment_bytes: str) -> None:
        batches = [batch(b"%d" % index, b"x" * index) for index in range(5)]
        async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
            await peer.create_topic("t", segment_bytes=segment_bytes)
            for each in batches:
                await peer.produce("t", 0, each)
            kept = await peer.records("t", 0)
        last = _last_segment(tmp_path, "t", 0)
        files = {path: path.read_bytes() for path in last.parent.iterdir()}
        end = len(files[last])
        kept = {offset: value for offset, value in kept.items() if offset < 8}

        for position in range(end - len(batches[-1]), end):
            for after in _tails(position, batches[0]):
                for path in set(last.parent.iterdir()) - files.keys():
                    path.unlink()
                last.write_bytes(files[last][:position] + after)
                async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
                    assert await peer.records("t", 0) == kept, f"cut at {position}, then {after.hex()}"
                    assert await peer.produce("t", 0, batches[1]) == (0, 8)
                    assert await peer.records("t", 0) == {**kept, 8: b"1", 9: b"x"}

    async def test_a_last_batch_with_a_wrong_byte_is_cut_off(self, tmp_path: Path) -> None:
        async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
            await peer.create_topic("t")
            await peer.produce("t", 0, batch(b"good"))
            await peer.produce("t", 0, last_batch := batch(b"torn"))
        file = _last_segment(tmp_path, "t", 0)
        whole = file.read_bytes()

        for position in range(len(whole) - len(last_batch), len(whole)):
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
            async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
                # The leader's epoch is not checksummed, nor is it of any use here.
                is_epoch = 12 <= position - (len(whole) - len(last_batch)) < 16
                expected = {0: b"good", 1: b"torn"} if is_epoch else {0: b"good"}
                assert await peer.records("t", 0) == expected, f"a wrong byte at {position}"

    async def test_a_torn_last_commit_is_cut_off_wherever_it_was_torn(self, tmp_path: Path) -> None:
        before: dict[Place, int] = {("t", 0): 3, ("t", 1): 4}
        async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
            await peer.create_topic("t", 2)
            await peer.commit("g", before)
            await peer.commit("g", {("t", 1): 5})
        file = tmp_path / "offsets.jsonl"
        whole = file.read_bytes()
        start = whole.rindex(b"\n", 0, -1) + 1

        for position in range(start, len(whole)):
            for after in (b"", b"\0" * 50, b'\xff\xfe"[', b"\0\r\n", b"5\n"):
                file.write_bytes(whole[:position] + after)
                async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
                    assert await peer.committed("g") == before, f"cut at {position}, then {after!r}"
                    assert await peer.commit("g", {("t", 1): 6}) == [0]
                async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
                    assert await peer.committed("g") == {**before, ("t", 1): 6}

    async def test_what_a_kill_left_half_made_is_forgotten(self, tmp_path: Path) -> None:
        async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
            await peer.create_topic("t")
            await peer.produce("t", 0, batch(b"kept"))
        for name in ("topics.json", "broker.json", "offsets.jsonl"):
            (tmp_path / f"{name}.new").write_bytes(b"{")  # a file that was to replace the one of before
        made = (
            tmp_path / "topics" / "new-0" / _last_segment(tmp_path, "t", 0).name
        )  # a topic that was to be told of next
        made.parent.mkdir()
        made.write_bytes(batch(b"of a topic of before"))

        async with EmbeddedKafka(tmp_path) as kafka, await Peer.connect(kafka.bootstrap) as peer:
            assert await peer.topics() == {"t": 1}
            assert await peer.records("t", 0) == {0: b"kept"}
            await peer.create_topic("new")
            assert await peer.records("new", 0) == {}


def _tails(position: int, earlier: bytes) -> list[bytes]:
    """What a disk may show behind the cut."""
    garbage = random.Random(position).randbytes(100)
    return [[b"", b"\0" * 200], [b"", garbage], [earlier], [b"\xff" * 70]][position % 4]

"""A partition's log: what was appended is found again, by offset and by time, also after a crash."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.batches import batch

from embedded_kafka.errors import ErrorCode, KafkaError
from embedded_kafka.log import DamagedLog, PartitionLog
from embedded_kafka.records import read_header

OpenLog = Callable[[], PartitionLog]


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[OpenLog]:
    """Opens the same folder again and again: what a restart does."""
    logs: list[PartitionLog] = []

    def opened() -> PartitionLog:
        logs.append(PartitionLog(tmp_path / "log", fsync=False))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


def append(log: PartitionLog, *values: bytes, segment_bytes: int = 2**20, **options: object) -> int:
    records = batch(*values, **options)  # type: ignore[arg-type]  # passed on as given
    return log.append(read_header(records), memoryview(records), segment_bytes=segment_bytes)


def offsets(log: PartitionLog) -> list[int]:
    """The base offsets of all batches, as a reader who starts at the beginning meets them."""
    found, offset = [], log.start_offset
    while offset < log.end_offset:
        header = read_header(log.read(offset, 1, at_least_one=True))
        found.append(header.base_offset)
        offset = header.next_offset
    return found


class TestAppend:
    def test_offsets_follow_each_other(self, open_log: OpenLog) -> None:
        log = open_log()

        assert [append(log, b"a"), append(log, b"b", b"c"), append(log, b"d")] == [0, 1, 3]
        assert (log.start_offset, log.end_offset) == (0, 4)

    def test_only_offset_and_leader_epoch_of_a_batch_are_changed(self, open_log: OpenLog) -> None:
        log = open_log()
        records = batch(b"a", b"b", codec=1)
        append(log, b"before")

        append(log, b"a", b"b", codec=1)

        kept = bytes(log.read(1, 10_000, at_least_one=True))
        assert kept[:8] == (1).to_bytes(8, "big")
        assert kept[8:12] == records[8:12]
        assert kept[12:16] == bytes(4)
        assert kept[16:] == records[16:]

    def test_a_full_disk_is_told_and_leaves_nothing_behind(
        self, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log()
        append(log, b"good")
        real_writev = os.writev

        def half_written(file: int, pieces: list[bytes]) -> int:
            return real_writev(file, [pieces[0], pieces[1][:10]])

        monkeypatch.setattr(os, "writev", half_written)
        with pytest.raises(KafkaError) as caught:
            append(log, b"does not fit")
        monkeypatch.undo()

        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert append(log, b"fits") == 1
        assert offsets(open_log()) == [0, 1]

    def test_with_fsync_an_append_is_on_the_disk_before_it_returns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = PartitionLog(tmp_path, fsync=True)
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))

        append(log, b"a")

        assert synced == [log.size_bytes]
        log.close()


class TestRead:
    def test_every_offset_is_found_whatever_the_sizes(self, open_log: OpenLog) -> None:
        log = open_log()
        for index in range(300):
            append(log, *[b"x" * (index * 37 % 900)] * (index % 4 + 1), segment_bytes=20_000)
        assert len(log.segments) > 5

        for offset in range(log.end_offset):
            header = read_header(log.read(offset, 1, at_least_one=True))
            assert header.base_offset <= offset < header.next_offset

    def test_it_keeps_to_the_limit_but_for_the_first_batch(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(10):
            append(log, b"x" * 1000)

        assert len(log.read(0, 2500, at_least_one=True)) == 2500
        assert 1000 < len(log.read(3, 10, at_least_one=True)) < 1100
        assert log.read(3, 10, at_least_one=False) == b""

    def test_outside_of_the_log_is_out_of_range_and_its_end_is_empty(self, open_log: OpenLog) -> None:
        log = open_log()
        append(log, b"a", b"b")

        assert log.read(2, 100, at_least_one=True) == b""
        for offset in (-1, 3):
            with pytest.raises(KafkaError) as caught:
                log.read(offset, 100, at_least_one=True)
            assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


class TestFirstAtOrAfter:
    def test_it_is_exact_over_segments_and_with_times_that_go_back(self, open_log: OpenLog) -> None:
        log = open_log()
        times = [100 + index * 10 - (index % 3) * 25 for index in range(200)]
        for first, second in zip(times[::2], times[1::2], strict=True):
            append(log, b"x" * 200, b"y", timestamps=(first, second), segment_bytes=5000)
        assert len(log.segments) > 3

        for wanted in range(0, max(times) + 2, 7):
            expected = next(((offset, time) for offset, time in enumerate(times) if time >= wanted), None)
            assert log.first_at_or_after(wanted) == expected


class TestRecovery:
    def test_a_restart_finds_everything(self, open_log: OpenLog) -> None:
        log = open_log()
        for index in range(50):
            append(log, b"x" * 500, segment_bytes=5000, timestamps=(index * 10,))

        again = open_log()

        assert offsets(again) == offsets(log) == list(range(50))
        assert again.first_at_or_after(255) == (26, 260)
        assert append(again, b"next") == 50

    def test_a_last_batch_that_is_torn_anywhere_is_cut_off(self, open_log: OpenLog) -> None:
        log = open_log()
        append(log, b"first")
        whole_bytes = log.size_bytes
        append(log, b"second")
        path, total_bytes = log.segments[-1].path, log.size_bytes
        content = path.read_bytes()

        for size_bytes in range(whole_bytes + 1, total_bytes):
            path.write_bytes(content[:size_bytes])
            torn = open_log()
            assert torn.end_offset == 1
            assert path.stat().st_size == whole_bytes
        assert append(open_log(), b"second again") == 1

    def test_a_last_batch_whose_bytes_are_not_what_was_written_is_cut_off(self, open_log: OpenLog) -> None:
        log = open_log()
        append(log, b"first")
        append(log, b"second")
        path = log.segments[-1].path
        path.write_bytes(path.read_bytes()[:-3] + b"???")

        assert offsets(open_log()) == [0]

    def test_damage_in_an_older_segment_is_not_passed_over(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(20):
            append(log, b"x" * 500, segment_bytes=2000)
        os.truncate(log.segments[1].path, 700)

        with pytest.raises(DamagedLog, match=log.segments[1].path.name):
            open_log()

    def test_a_single_changed_byte_in_an_older_segment_is_found(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(20):
            append(log, b"x" * 500, segment_bytes=2000)
        path = log.segments[1].path
        content = bytearray(path.read_bytes())
        content[300] ^= 1
        path.write_bytes(content)

        with pytest.raises(DamagedLog, match=f"{path.name} is damaged at byte 0"):
            open_log()

    def test_a_missing_segment_is_not_passed_over(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(20):
            append(log, b"x" * 500, segment_bytes=2000)
        log.segments[2].path.unlink()

        with pytest.raises(DamagedLog, match="missing"):
            open_log()

    def test_a_producer_that_sends_its_batch_again_after_a_restart_is_known(self, open_log: OpenLog) -> None:
        log = open_log()
        for sequence in range(3):
            append(log, b"x", producer_id=9, epoch=0, sequence=sequence)

        again = open_log()

        assert append(again, b"x", producer_id=9, epoch=0, sequence=2) == 2
        assert again.end_offset == 3
        assert append(again, b"x", producer_id=9, epoch=0, sequence=3) == 3


class TestRetain:
    def test_the_oldest_segments_go_when_there_are_too_many_bytes(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(20):
            append(log, b"x" * 500, segment_bytes=2000)
        size_bytes = log.size_bytes

        log.retain(0, retention_ms=-1, retention_bytes=size_bytes // 2)

        assert size_bytes // 2 <= log.size_bytes < size_bytes // 2 + 2000
        assert offsets(log) == offsets(open_log()) == list(range(log.start_offset, 20))
        with pytest.raises(KafkaError) as caught:
            log.read(0, 100, at_least_one=True)
        assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE

    def test_what_is_too_old_goes_and_the_end_offset_stays(self, open_log: OpenLog) -> None:
        log = open_log()
        for index in range(10):
            append(log, b"x" * 500, timestamps=(index * 100,), segment_bytes=2000)

        log.retain(1400, retention_ms=1000, retention_bytes=-1)
        kept = offsets(log)
        log.retain(5000, retention_ms=1000, retention_bytes=-1)

        assert 0 < kept[0] <= 4
        assert kept[-1] == 9
        assert (log.start_offset, log.end_offset, log.size_bytes) == (10, 10, 0)
        assert append(open_log(), b"next") == 10

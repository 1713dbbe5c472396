"""The log of one partition: append-only segments of record batches, found again by offset and by time.

The files are Kafka's own (`<first offset>.log`, batches as on the wire); the sparse index is kept in memory only.
"""

import logging
import mmap
import os
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

from .errors import ErrorCode, KafkaError
from .files import append, sync_folder
from .producers import ProducerStates
from .records import HEADER_BYTES, LENGTH_AT_BYTE, BatchHeader, first_at_or_after, is_intact, read_header
from .wire import Buffer

logger = logging.getLogger(__name__)

_PATCHED = struct.Struct(">qii")  # base offset, length, leader epoch: what stands before the checksummed part
_LEADER_EPOCH = 0
_LATEST_BATCHES = 64  # who reads what was just written needs no search: a fifth of the work with six groups
_INDEX_INTERVAL_BYTES = 4096
_WINDOW_BYTES = _INDEX_INTERVAL_BYTES + HEADER_BYTES  # read at once where headers are followed


class DamagedLog(Exception):
    """A segment that is not the last one can't be read: nothing that a crash of this broker could leave behind."""


class Segment:
    """One file, and where in it some of the batches are: at least one in 4 KiB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base_offset = self.next_offset = int(path.stem)
        self.size_bytes = 0
        self.max_timestamp = -1
        self._file = -1
        self._offsets = array("q")
        self._positions = array("q")
        self._max_timestamps_before = array("q")
        self._latest: deque[tuple[int, int]] = deque(maxlen=_LATEST_BATCHES)  # offset and position, without gaps

    @property
    def file(self) -> int:
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        return self._file

    def close(self) -> None:
        """It is opened again when it is needed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def add(self, header: BatchHeader, base_offset: int) -> None:
        """Takes note of a batch that stands at the end of the file."""
        if not self._positions or self.size_bytes - self._positions[-1] >= _INDEX_INTERVAL_BYTES:
            self._offsets.append(base_offset)
            self._positions.append(self.size_bytes)
            self._max_timestamps_before.append(self.max_timestamp)
        self._latest.append((base_offset, self.size_bytes))
        self.next_offset = base_offset + header.last_offset_delta + 1
        self.max_timestamp = max(self.max_timestamp, header.max_timestamp)
        self.size_bytes += header.size_bytes

    def read(self, offset: int, max_bytes: int, at_least_one: bool) -> bytes:
        """From the batch with that offset on; its last batch may be cut off, as in Kafka."""
        if offset >= self._latest[0][0]:
            index = bisect_right(self._latest, offset, key=itemgetter(0))
            position = self._latest[index - 1][1]
            first_bytes = (self._latest[index][1] if index < len(self._latest) else self.size_bytes) - position
        else:
            start = self._positions[bisect_right(self._offsets, offset) - 1]
            places = ((at, header.size_bytes) for at, header in self.headers(start) if header.next_offset > offset)
            position, first_bytes = next(places)
        if first_bytes > max_bytes and not at_least_one:
            return b""
        return os.pread(self.file, max(first_bytes, min(max_bytes, self.size_bytes - position)), position)

    def first_at_or_after(self, timestamp_ms: int) -> tuple[int, int] | None:
        if self.max_timestamp < timestamp_ms or not self.size_bytes:
            return None
        start = self._positions[max(0, bisect_left(self._max_timestamps_before, timestamp_ms) - 1)]
        found = (place for place in self.headers(start) if place[1].max_timestamp >= timestamp_ms)
        position, header = next(found)
        return first_at_or_after(self.batch_at(position, header), header, timestamp_ms)

    def batch_at(self, position: int, header: BatchHeader) -> bytes:
        return os.pread(self.file, header.size_bytes, position)

    def headers(self, position: int = 0) -> Iterator[tuple[int, BatchHeader]]:
        window, window_position = b"", position
        while position + HEADER_BYTES <= self.size_bytes:
            if position + HEADER_BYTES > window_position + len(window):
                window, window_position = os.pread(self.file, _WINDOW_BYTES, position), position
            header = read_header(window, position - window_position)
            yield position, header
            position += header.size_bytes

    def recover(self, on_batch: Callable[[BatchHeader, int], None], *, check: bool = True) -> int:
        """Rebuilds the index from the file; returns how many bytes after the last whole (and intact) batch are none."""
        file_bytes = os.fstat(self.file).st_size
        if not file_bytes:
            return 0
        with mmap.mmap(self.file, file_bytes, access=mmap.ACCESS_READ) as data:
            while (position := self.size_bytes) + HEADER_BYTES <= file_bytes:
                header = read_header(data, position)
                end = position + header.size_bytes
                plausible = header.magic == 2 and header.length >= HEADER_BYTES - LENGTH_AT_BYTE and end <= file_bytes
                if not plausible or header.base_offset != self.next_offset or header.last_offset_delta < 0:
                    break
                if check and not is_intact(data[position:end], header):
                    break
                self.add(header, header.base_offset)
                on_batch(header, header.base_offset)
        return file_bytes - self.size_bytes


def segments_in(folder: Path) -> list[Segment]:
    """In their order, and still to be recovered: nothing has been read."""
    return [Segment(path) for path in sorted(folder.glob("*.log"))]


class PartitionLog:
    """What a partition holds, between `start_offset` and `end_offset` (the offset that comes next)."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self.folder = folder
        self.on_append: set[Callable[[int], None]] = set()
        """Called with the size in bytes of each batch."""
        self._fsync = fsync
        self._producers = ProducerStates()
        folder.mkdir(parents=True, exist_ok=True)
        self.segments = segments_in(folder) or [self._new_segment(0)]
        self._recover()

    @property
    def start_offset(self) -> int:
        return self.segments[0].base_offset

    @property
    def end_offset(self) -> int:
        return self.segments[-1].next_offset

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self.segments)

    def append(self, header: BatchHeader, batch: memoryview, *, segment_bytes: int) -> int:
        """Writes a checked batch, unless it is there already; returns its offset once the kernel has it."""
        earlier_offset = self._producers.earlier_offset(header)
        if earlier_offset is not None:
            return earlier_offset
        segment = self.segments[-1]
        if segment.size_bytes and segment.size_bytes + header.size_bytes > segment_bytes:
            segment = self._roll()
        offset = segment.next_offset
        pieces: list[Buffer] = [_PATCHED.pack(offset, header.length, _LEADER_EPOCH), batch[_PATCHED.size :]]
        append(segment.file, pieces, size_bytes=segment.size_bytes, fsync=self._fsync)
        segment.add(header, offset)
        self._producers.remember(header, offset)
        for call in self.on_append:
            call(header.size_bytes)
        return offset

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool) -> Buffer:
        if not self.start_offset <= offset <= self.end_offset:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
        if offset == self.end_offset:
            return b""
        index = bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1
        return self.segments[index].read(offset, max_bytes, at_least_one)

    def first_at_or_after(self, timestamp_ms: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record of that time or later."""
        found = (segment.first_at_or_after(timestamp_ms) for segment in self.segments)
        return next((place for place in found if place), None)

    def retain(self, now_ms: int, *, retention_ms: int, retention_bytes: int) -> None:
        """Removes the oldest segments that are too old or too many."""

        def is_too_old(segment: Segment) -> bool:
            return retention_ms >= 0 and 0 <= segment.max_timestamp < now_ms - retention_ms

        if is_too_old(self.segments[-1]):
            self._roll()
        total_bytes = self.size_bytes
        while len(self.segments) > 1:
            oldest = self.segments[0]
            too_many = retention_bytes >= 0 and total_bytes - oldest.size_bytes >= retention_bytes
            if not is_too_old(oldest) and not too_many:
                break
            total_bytes -= oldest.size_bytes
            oldest.close()
            oldest.path.unlink()
            del self.segments[0]
        for segment in self.segments[:-1]:
            segment.close()  # somebody may have read it

    def close(self) -> None:
        for segment in self.segments:
            segment.close()

    def _new_segment(self, base_offset: int) -> Segment:
        segment = Segment(self.folder / f"{base_offset:020d}.log")
        segment.path.touch()  # at once: it keeps the end offset when all before it is removed
        if self._fsync:
            sync_folder(self.folder)
        return segment

    def _roll(self) -> Segment:
        self.segments[-1].close()
        self.segments.append(self._new_segment(self.end_offset))
        return self.segments[-1]

    def _recover(self) -> None:
        next_offset = self.start_offset
        for segment in self.segments:
            if segment.base_offset != next_offset:
                raise DamagedLog(f"The records from {next_offset} on are missing before {segment.path}.")
            surplus_bytes = segment.recover(self._producers.remember)
            if surplus_bytes and segment is not self.segments[-1]:
                raise DamagedLog(f"{segment.path} is damaged at byte {segment.size_bytes}.")
            if surplus_bytes:
                logger.warning("Cut a torn end of %d bytes off %s.", surplus_bytes, segment.path)
                os.ftruncate(segment.file, segment.size_bytes)
            segment.close()
            next_offset = segment.next_offset

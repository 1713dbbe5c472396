"""Committed offsets: a file of JSON lines that grows with each commit and is rewritten when it is mostly history."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .files import append, replace

_REWRITE_BYTES = 1024 * 1024


class Committed(NamedTuple):
    offset: int
    metadata: str


Partition = tuple[str, int]
_Offsets = dict[str, dict[Partition, Committed]]  # of each group
_Line = tuple[str, str, int, int, str]  # group, topic, partition, offset (-1: forgotten), metadata


class CommittedOffsets:
    def __init__(self, path: Path, *, fsync: bool) -> None:
        self._path = path
        self._fsync = fsync
        self._groups = read_offsets(path)
        self._rewrite()

    def groups(self) -> Iterator[str]:
        return iter(self._groups)

    def of_group(self, group_id: str) -> dict[Partition, Committed]:
        return self._groups.get(group_id, {})

    def commit(self, group_id: str, offsets: Iterable[tuple[str, int, int, str | None]]) -> None:
        """Once this returns the kernel has them. Each is topic, partition, offset (-1: none any more), metadata."""
        self._append([(group_id, *offset[:3], offset[3] or "") for offset in offsets])

    def forget_group(self, group_id: str) -> None:
        self._append([(group_id, topic, partition, -1, "") for topic, partition in self.of_group(group_id)])

    def forget_topic(self, name: str) -> None:
        places = [(group_id, *place) for group_id, offsets in self._groups.items() for place in offsets]
        self._append([(group_id, topic, partition, -1, "") for group_id, topic, partition in places if topic == name])

    def close(self) -> None:
        os.close(self._file)

    def _append(self, lines: list[_Line]) -> None:
        content = _encoded(lines)
        append(self._file, [content], size_bytes=self._size_bytes, fsync=self._fsync)
        self._size_bytes += len(content)
        for line in lines:
            _apply(self._groups, line)
        if self._size_bytes > self._rewrite_at_bytes:
            os.close(self._file)
            self._rewrite()

    def _rewrite(self) -> None:
        content = _encoded(
            (group_id, topic, partition, *committed)
            for group_id, offsets in self._groups.items()
            for (topic, partition), committed in offsets.items()
        )
        replace(self._path, content, fsync=self._fsync)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size_bytes = len(content)
        self._rewrite_at_bytes = 2 * len(content) + _REWRITE_BYTES


def read_offsets(path: Path) -> _Offsets:
    """Raises ValueError if the file is not what a broker wrote, but for a torn end: that was never acknowledged."""
    groups: _Offsets = {}
    *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        try:
            _apply(groups, json.loads(line))
        except (ValueError, TypeError) as error:
            if number < len(lines) or last:
                raise ValueError(f"{path} is damaged in line {number}.") from error
    return groups


def _apply(groups: _Offsets, line: _Line) -> None:
    group_id, topic, partition, offset, metadata = line
    offsets = groups.setdefault(group_id, {})
    if offset >= 0:
        offsets[topic, partition] = Committed(offset, metadata)
    else:
        offsets.pop((topic, partition), None)
    if not offsets:
        del groups[group_id]


def _encoded(lines: Iterable[_Line]) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

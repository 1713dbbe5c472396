"""Committed offsets: a file of JSON lines that grows with each commit and is rewritten when it is mostly history."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import ErrorCode, KafkaError
from .files import replace

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

    def commit(self, group_id: str, offsets: Iterable[tuple[str, int, int, str]]) -> None:
        """Once this returns the kernel has them. Each is topic, partition, offset, metadata."""
        self._append([(group_id, *offset) for offset in offsets])

    def forget_group(self, group_id: str) -> None:
        self._append([(group_id, topic, partition, -1, "") for topic, partition in self.of_group(group_id)])

    def forget_topic(self, name: str) -> None:
        self._append(list(self._forgotten(name)))

    def close(self) -> None:
        os.close(self._file)

    def _forgotten(self, name: str) -> Iterator[_Line]:
        for group_id, offsets in self._groups.items():
            for topic, partition in offsets:
                if topic == name:
                    yield group_id, topic, partition, -1, ""

    def _append(self, lines: list[_Line]) -> None:
        content = _encoded(lines)
        try:
            if os.write(self._file, content) < len(content):
                raise OSError("the disk is full")
            if self._fsync:
                os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size_bytes)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
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
    """Raises ValueError if the file is not what a broker wrote."""
    groups: _Offsets = {}
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith(b"\n"):
            break  # torn by a crash, so never acknowledged
        _apply(groups, json.loads(line))
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

"""Reads files into documents, each content once: what was read is kept under the id of the blob."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from .documents import LARGEST_FILE_BYTES, Document, FileUnreadable
from .properties_documents import read_properties, read_xml_properties
from .sources import File, Snapshot
from .yaml_documents import read_yaml

_MOST_KEPT_CHARACTERS = 16 * 1_048_576  # of keys and values; in memory they take several times that


class DocumentCache:
    """The documents of files, bounded by what is in them. Safe for threads.

    A blob's id is the hash of its content, so nothing kept here can be out of date; that a file can't be read is
    kept as well.
    """

    def __init__(self, most_kept_characters: int = _MOST_KEPT_CHARACTERS) -> None:
        self._most_kept_characters = most_kept_characters
        self._kept: OrderedDict[tuple[str, str], tuple[int, Sequence[Document] | FileUnreadable]] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()  # around the bookkeeping, never around reading

    def read(self, snapshot: Snapshot, file: File) -> Sequence[Document]:
        """The documents of a file. Raises FileUnreadable."""
        extension = file.path.rpartition(".")[2]
        key = (file.blob, extension)
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
        if known is None:
            known = _read(snapshot, file, extension)
            self._keep(key, known)
        if isinstance(known[1], FileUnreadable):
            raise known[1].copy()
        return known[1]

    def _keep(self, key: tuple[str, str], entry: tuple[int, Sequence[Document] | FileUnreadable]) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = entry
            self._characters += entry[0]
            while self._characters > self._most_kept_characters and len(self._kept) > 1:
                self._characters -= self._kept.popitem(last=False)[1][0]


def _read(snapshot: Snapshot, file: File, extension: str) -> tuple[int, Sequence[Document] | FileUnreadable]:
    """What is in a file, or why it can't be read, with its size for the cache."""
    try:
        documents = _parse(snapshot.read(file, largest_bytes=LARGEST_FILE_BYTES), extension)
    except FileUnreadable as error:
        return 100 + len(error.reason), error.copy()
    # An empty file takes some room as well.
    return 100 + sum(document.characters for document in documents), documents


def _parse(data: bytes | None, extension: str) -> Sequence[Document]:
    if data is None:
        raise FileUnreadable(f"it is larger than {LARGEST_FILE_BYTES} bytes")
    if extension == "properties":
        return read_properties(data)
    if extension == "xml":
        return read_xml_properties(data)
    return read_yaml(_decoded(data))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnreadable("it is not UTF-8", line=data[: error.start].count(b"\n") + 1) from error

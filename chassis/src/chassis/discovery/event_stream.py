"""Reads an event stream (WHATWG HTML §9.2, text/event-stream) as it comes in, in whatever pieces."""

from collections.abc import Iterator
from typing import NamedTuple

MEDIA_TYPE = "text/event-stream"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StreamEvent(NamedTuple):
    type: str
    data: str
    last_id: str
    """The id that this event has, or the last one before it had."""


class EventParser:
    """Is fed with bytes and gives the events that are whole. After a reconnection a new one is needed."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        """The id to go on after, once all events so far are dealt with; a keep-alive may change it as well."""
        self._id = last_id
        self._type = ""
        self._data: list[bytes] = []
        self._line: list[bytes] = []  # pieces of the line that is not at its end: it may be of megabytes
        self._ended_with_return = False
        self._is_at_start = True

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        if self._ended_with_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end
        if not chunk:
            return
        self._ended_with_return = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = chunk.split(b"\n")
        self._line.append(first)
        for begun in others:
            line = b"".join(self._line)
            self._line = [begun]
            if self._is_at_start:
                self._is_at_start = False
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line:
                self._read_field(line)
            elif (event := self._end_event()) is not None:
                yield event

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")  # a comment is a field without a name
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _end_event(self) -> StreamEvent | None:
        self.last_id = self._id
        event_type, self._type = self._type or "message", ""
        data, self._data = self._data, []
        return StreamEvent(event_type, b"\n".join(data).decode("utf-8", "replace"), self.last_id) if data else None

"""One connection to an upstream: HTTP/1.1 over asyncio, parsed by httptools, one exchange at a time."""

import asyncio
import select
from typing import cast

import httptools
import httpx

from .errors import ClientTooSlow

_HIGH_WATER_BYTES = 128 * 1024  # of a body that nobody has fetched yet; above it, nothing more is read
_LARGEST_HEAD_BYTES = 64 * 1024
# A small body whose length is known is waited for, so that head and body go to the client in one piece.
_HELD_BODY_BYTES = 64 * 1024
_NO_BODY = frozenset({204, 304})


class Connection(asyncio.Protocol):
    """Call `begin`, `write` the request, await `head`, then `next_chunk` until it is empty, then ask `is_reusable`.

    Failures are httpx's: `RemoteProtocolError` (closed or garbled), `ReadError` (reset), `ReadTimeout` and
    `WriteTimeout` (found by `expire`, which a sweep calls).
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._write_paused = False
        self._read_paused = False
        self.is_closed = False
        self.exchanges = 0
        self.idle_since = 0.0
        self._is_busy = False
        self._begin_exchange("")

    def begin(self, method: str) -> None:
        """A new exchange starts here; the connection is idle."""
        self._begin_exchange(method)
        self._is_busy = True
        self.exchanges += 1

    def _begin_exchange(self, method: str) -> None:
        self._method = method
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._length: int | None = None
        self._is_chunked = False
        self._ends_with_connection = False
        self._head_seen = False
        self._head_ready = False
        self._is_complete = False
        self._keeps_alive = False
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._error: Exception | None = None
        self._is_uploaded = True
        self._is_active = True  # since the last sweep
        self._quiet_since = 0.0

    # The request

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self.is_closed:
            self._transport.write(data)

    def begin_upload(self) -> None:
        """More of the request is to come; without `end_upload` the connection is not used again."""
        self._is_uploaded = False

    async def write_chunk(self, data: bytes) -> None:
        """Write a part of the body, and wait while the upstream does not take it. Raises what ended the exchange."""
        if self._error is not None:
            raise self._error
        self.write(data)
        self._is_active = True
        if self._write_paused:
            self._drained = self._loop.create_future()
            await self._drained

    def end_upload(self) -> None:
        self._is_uploaded = True
        self._is_active = True

    # The response

    @property
    def is_complete(self) -> bool:
        """Whether the whole response is here."""
        return self._is_complete

    @property
    def has_answered(self) -> bool:
        """Whether any of the response's head has come."""
        return self._head_bytes > 0

    async def head(self) -> None:
        """Wait for status and headers; a small body comes with them. Raises httpx.TransportError, or what ended it."""
        while not self._head_ready:
            await self._wait()

    async def next_chunk(self) -> bytes:
        """The next part of the body, b"" at its end. Raises like `head`."""
        while not self._chunks:
            if self._is_complete:
                return b""
            await self._wait()
        return self.take_buffered()

    def take_buffered(self) -> bytes:
        """What has come of the body and was not fetched yet."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered_bytes = 0
        self._is_active = True
        if self._read_paused and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        # What came before the failure is still worth having.
        if self._error is not None and not self._chunks:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The end

    def end(self) -> bool:
        """The exchange is over; says whether another may follow on this connection."""
        self._is_busy = False
        is_clean = self._is_complete and self._is_uploaded and not self._read_paused
        return is_clean and self._keeps_alive and self.is_usable()

    def is_usable(self) -> bool:
        return not self.is_closed and self._transport is not None and not self._transport.is_closing()

    def is_untouched(self) -> bool:
        """Ask the kernel whether the upstream has closed this idle connection, or said something on it, just now.

        The event loop may not have come round to it yet; worth a system call for what can't be sent twice.
        """
        assert self._transport is not None
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def fail(self, error: Exception) -> None:
        """End the exchange with this error, unless it is complete, and the connection with it."""
        if not self._is_complete and self._error is None:
            self._error = error
            self._wake()
        self.abort()

    def abort(self) -> None:
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()
        self._release_writer()

    def expire(self, now: float, *, response_timeout_seconds: float, idle_timeout_seconds: float) -> None:
        """Fail if nothing has moved for too long; to be called every now and then during an exchange."""
        if self._is_active:
            self._is_active = False
            self._quiet_since = now
        if self._head_seen and not self._head_ready:  # it was held back for a body that is slow to come
            self._head_ready = True
            self._wake()
        quiet = now - self._quiet_since
        if not self._is_uploaded and not self._head_seen:
            if quiet > idle_timeout_seconds:
                self.fail(
                    httpx.WriteTimeout("the upstream takes no more of the request")
                    if self._write_paused
                    else ClientTooSlow(f"Nothing more of the body came for {idle_timeout_seconds:g} s.")
                )
        elif quiet > (idle_timeout_seconds if self._head_ready else response_timeout_seconds):
            self.fail(httpx.ReadTimeout("the upstream sends nothing"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        if not self._is_busy:
            self.abort()  # unasked: it would be taken for the answer to the next request
            return
        self._is_active = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(httpx.RemoteProtocolError("the upstream changes the protocol, unasked"))
        except httptools.HttpParserError as error:
            self._keeps_alive = False
            self.fail(self._error or httpx.RemoteProtocolError(f"the upstream's answer is no HTTP: {error}"))

    def eof_received(self) -> bool:
        if self._is_busy and self._ends_with_connection and self._error is None:
            self._complete(keeps_alive=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._write_paused = False
        if self._is_busy and not self._is_complete and self._error is None:
            self._error = (
                httpx.RemoteProtocolError("the upstream closed the connection before its answer was whole")
                if exc is None
                else httpx.ReadError(f"the connection to the upstream broke: {exc}")
            )
            self._wake()
        self._release_writer()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._is_active = True
        self._release_writer()

    def _release_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # httptools

    def on_message_begin(self) -> None:
        if self._is_complete:  # a second answer to one request
            self._keeps_alive = False
            return
        self.headers = []
        self._length = None
        self._is_chunked = False

    def on_status(self, reason: bytes) -> None:
        self.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_seen:
            return  # a trailer
        name = name.lower()
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _LARGEST_HEAD_BYTES:
            raise httpx.RemoteProtocolError("the head of the upstream's answer is too large")
        if name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._is_chunked = value.lower().endswith(b"chunked")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._is_complete:
            return
        self._head_bytes += 1
        status = self._parser.get_status_code()
        if status < 200:
            return  # 100 Continue, 103 Early Hints: the real answer follows
        if status > 599:
            raise ValueError(f"status {status}")
        self.status = status
        self._head_seen = True
        if self._method == "HEAD":
            keeps_alive = self._parser.should_keep_alive()
            # The parser waits for the body that the headers speak of, and none is coming.
            self._parser = httptools.HttpResponseParser(self)
            self._complete(keeps_alive=keeps_alive)
            return
        if self._length is None and not self._is_chunked and status not in _NO_BODY:
            self._ends_with_connection = True
        if self._length is not None and self._length <= _HELD_BODY_BYTES:
            return
        self._head_ready = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._is_complete:
            self._keeps_alive = False
            return
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > _HIGH_WATER_BYTES and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        if self._head_ready:
            self._wake()

    def on_message_complete(self) -> None:
        if self._head_seen and not self._is_complete:
            self._complete(keeps_alive=self._parser.should_keep_alive())

    def _complete(self, *, keeps_alive: bool) -> None:
        self._is_complete = True
        self._keeps_alive = keeps_alive
        self._head_ready = True
        self._wake()

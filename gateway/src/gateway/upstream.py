"""The upstream side as an httpx transport, and the lean request and response that go through it.

Called at the transport layer: `httpx.AsyncClient` would add cookies (one jar for all callers), redirects and hooks.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

import httpx

from .pool import ConnectionPool
from .settings import Settings
from .wire import Connection

_SWEEP_SECONDS = 0.1

RawHeaders = list[tuple[bytes, bytes]]


class CompleteBody(httpx.AsyncByteStream):
    """A body that is here already."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


class RawRequest(httpx.Request):
    """An httpx.Request of parts that have been checked; its Headers are only made where somebody asks for them.

    In `extensions`: `target` (bytes, sent as it is), `origin` (host, port), `replayable` (may be sent twice).
    """

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        *,
        raw_headers: RawHeaders,
        stream: httpx.AsyncByteStream,
        extensions: dict[str, Any],
    ) -> None:
        self.method = method
        self.url = url
        self.raw_headers = raw_headers
        self.stream = stream
        self.extensions = extensions

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]  # a property in place of an attribute
        return httpx.Headers(self.raw_headers)


class RawResponse(httpx.Response):
    """An httpx.Response whose Headers are only made where somebody asks for them."""

    def __init__(self, status_code: int, *, raw_headers: RawHeaders, stream: httpx.AsyncByteStream) -> None:
        self.status_code = status_code
        self.raw_headers = raw_headers
        self.stream = stream
        self.extensions = {"http_version": b"HTTP/1.1"}
        # What httpx.Response's own __init__ would set, for its methods to work.
        self.is_closed = self.is_stream_consumed = False
        self._request = None

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]  # a property in place of an attribute
        return httpx.Headers(self.raw_headers)


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests over kept connections, a pool for each address. Raises httpx.TransportError.

    A connection that was kept and is found dead before anything was answered is replaced once, if the request is
    `replayable`. Nothing else is ever sent twice here.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[tuple[str, int], ConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> RawResponse:
        extensions = request.extensions
        origin = extensions.get("origin") or (request.url.host, request.url.port or 80)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = ConnectionPool(origin, self._settings)
        replayable = extensions.get("replayable", False)
        connection = await pool.take(surely_alive=not replayable)
        try:
            return await _exchange(request, pool, connection)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if not replayable or connection.exchanges < 2 or connection.has_answered:
                raise
        connection = await pool.take(new=True)
        return await _exchange(request, pool, connection)

    async def run(self) -> None:
        """Look after the connections for ever: timeouts, idle ones, pools of addresses that are gone."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for origin, pool in list(self._pools.items()):
                pool.sweep(now)
                if pool.is_unused:
                    del self._pools[origin]

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()


async def _exchange(request: httpx.Request, pool: ConnectionPool, connection: Connection) -> RawResponse:
    upload: asyncio.Task[None] | None = None
    try:
        connection.begin(request.method)
        head, is_chunked = _head_of(request)
        stream = request.stream
        if isinstance(stream, CompleteBody):
            connection.write(head + stream.content)
        else:
            assert isinstance(stream, httpx.AsyncByteStream)
            connection.begin_upload()
            connection.write(head)
            upload = asyncio.create_task(_upload(stream, connection, is_chunked=is_chunked))
        await connection.head()
    except BaseException:
        _end(pool, connection, upload)
        raise
    if connection.is_complete and (upload is None or upload.done()):
        body: httpx.AsyncByteStream = CompleteBody(connection.take_buffered())
        response = RawResponse(connection.status, raw_headers=connection.headers, stream=body)
        _end(pool, connection, upload)
        return response
    body = _ResponseBody(pool, connection, upload)
    return RawResponse(connection.status, raw_headers=connection.headers, stream=body)


def _head_of(request: httpx.Request) -> tuple[bytes, bool]:
    """The request's head as it is sent, and whether its body is to be sent in chunks."""
    raw = request.raw_headers if isinstance(request, RawRequest) else _in_lower_case(request.headers)
    target = request.extensions.get("target") or request.url.raw_path
    parts = [request.method.encode("ascii"), b" ", target, b" HTTP/1.1\r\n"]
    is_chunked = False
    for name, value in raw:
        parts += (name, b": ", value, b"\r\n")
        if name == b"transfer-encoding":
            is_chunked = True
    parts.append(b"\r\n")
    return b"".join(parts), is_chunked


def _in_lower_case(headers: httpx.Headers) -> RawHeaders:
    return [(name.lower(), value) for name, value in headers.raw]


async def _upload(stream: httpx.AsyncByteStream, connection: Connection, *, is_chunked: bool) -> None:
    try:
        async for chunk in stream:
            if chunk:
                await connection.write_chunk(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
        if is_chunked:
            await connection.write_chunk(b"0\r\n\r\n")
        connection.end_upload()
    except Exception as error:  # told to whoever waits for the response
        connection.fail(error)


def _end(pool: ConnectionPool, connection: Connection, upload: asyncio.Task[None] | None) -> None:
    if upload is not None and not upload.done():
        upload.cancel()
    pool.release(connection)


class _ResponseBody(httpx.AsyncByteStream):
    """A body that is still coming; it gives the connection back at its end."""

    def __init__(self, pool: ConnectionPool, connection: Connection, upload: asyncio.Task[None] | None) -> None:
        self._pool = pool
        self._connection = connection
        self._upload = upload
        self._is_ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._connection.next_chunk():
            yield chunk

    async def aclose(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            _end(self._pool, self._connection, self._upload)

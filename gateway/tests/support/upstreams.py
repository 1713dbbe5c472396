"""Upstreams of all kinds: one that says back what it was asked, and one that does on the wire what a test tells it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from chassis.testing.server import running
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@dataclass
class Echo:
    """Answers every request with what came in: method, target, headers as pairs, body; and remembers it."""

    url: str = ""
    name: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def answer(self, request: Request) -> JSONResponse:
        body = await request.body()
        raw_path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        found = {
            "by": self.name,
            "method": request.method,
            "target": f"{raw_path}?{query}" if query else raw_path,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
            "length": len(body),
            "body": body[:1000].decode("latin-1"),
        }
        self.seen.append(found)
        return JSONResponse(found)


@asynccontextmanager
async def echo(name: str = "echo") -> AsyncIterator[Echo]:
    """An HTTP server that echoes; its `/openapi.json` is what `extra["openapi"]` holds, if anything."""
    upstream = Echo(name=name)

    async def show(request: Request) -> JSONResponse:
        if request.url.path == "/openapi.json" and "openapi" in upstream.extra:
            return JSONResponse(upstream.extra["openapi"])
        return await upstream.answer(request)

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app = Starlette(routes=[Route("/{path:path}", show, methods=methods)])
    async with running(app, proxy_headers=False) as upstream.url:
        yield upstream


@dataclass
class Exchange:
    """One request as it came over the wire, and the way to answer it."""

    number: int  # of all requests of this upstream, from 1
    connection: int  # of all its connections, from 1
    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def length(self) -> int:
        for line in self.head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line.partition(b":")[2])
        return 0

    async def body(self) -> bytes:
        return await self.reader.readexactly(self.length)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: str = "200 OK", headers: bytes = b"") -> None:
        """A plain answer of known length, after the body was read."""
        await self.body()
        await self.say(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n" % (status.encode(), len(body), headers) + body)

    async def hang(self) -> None:
        """Say nothing until the other side closes the connection."""
        while await self.reader.read(65536):
            pass

    async def stall(self) -> None:
        """Read nothing more, until the connection is closed from here."""
        while not self.writer.transport.is_closing():  # noqa: ASYNC110 - a transport has no event for it
            await asyncio.sleep(0.01)

    def reset(self) -> None:
        """Break the connection, as a killed process does."""
        self.writer.transport.abort()


class WireUpstream:
    """A server that reads a head and leaves the rest to its `play`; it counts, so that tests can ask what it saw."""

    def __init__(self, play: Callable[[Exchange], Awaitable[None]]) -> None:
        self._play = play
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[object]] = set()
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self.open_connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; on the same port as before, after a stop."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1024 * 1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break all connections, as a killed process does."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        if self._serving:
            await asyncio.wait(self._serving, timeout=2.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        connection = self.connections
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                await self._play(Exchange(len(self.requests), connection, head, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._serving.discard(task)


@asynccontextmanager
async def wire_upstream(play: Callable[[Exchange], Awaitable[None]] | None = None) -> AsyncIterator[WireUpstream]:
    """A server on the wire; without a `play` it answers `{}` to everything."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer()

    upstream = WireUpstream(play or answer)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    """The headers that an echo saw; of a name that came twice, the values joined."""
    found: dict[str, str] = {}
    for name, value in answer["headers"]:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def parsed(body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(body)
    return document

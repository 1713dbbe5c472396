"""Tells readers of each change as it happens: server-sent events (WHATWG HTML §9.2) at /eureka/stream."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing

from chassis.discovery.event_stream import MEDIA_TYPE
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from discovery_server.access.access import Access
from discovery_server.documents.answers import Answers, Form
from discovery_server.documents.change_log import ChangeLog
from discovery_server.errors import CredentialNeeded, NoSuchPath, NotReadYet, TooManyReaders
from discovery_server.metrics import STREAM_READERS
from discovery_server.registry.leases import hash_code
from discovery_server.registry.registry import Registry
from discovery_server.settings import DiscoverySettings
from discovery_server.wire import json_codec

from .api import Handler
from .server import connection_of

logger = logging.getLogger(__name__)

_FULL_VERSION = 1  # as in GET apps
_PIECE_BYTES = 64 * 1024
_FAREWELL_SECONDS = 0.5
_HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has a block of them
}


class Stream:
    """Everything first (`event: registry`), then each change (`event: change`), to any number of readers."""

    def __init__(
        self,
        registry: Registry,
        answers: Answers,
        access: Access,
        settings: DiscoverySettings,
        *,
        may_read: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`may_read` says why the registry can't be read yet, or nothing."""
        self._registry = registry
        self._answers = answers
        self._access = access
        self._settings = settings
        self._may_read = may_read
        self._log = ChangeLog(registry, retention_seconds=settings.delta_retention_seconds)
        # In the ids of events: versions alone don't tell this server, and this start of it, from others.
        self._start = secrets.token_hex(4)
        self._readers = 0

    def routes(self, path: Sequence[str]) -> dict[str, Handler]:
        """As api.Resource wants it. Raises NoSuchPath."""
        if path:
            raise NoSuchPath("There is nothing below the stream.")
        return {"GET": self._open}

    async def _open(self, request: Request) -> ASGIApp:
        authorization = request.headers.get("authorization")
        self._access.require_reader(authorization)
        if (why := self._may_read()) is not None:
            raise NotReadYet(why)
        if request.method == "HEAD":
            return Response(headers=_HEADERS)
        if self._readers >= self._settings.stream_readers:
            raise TooManyReaders(f"{self._readers} readers follow the registry here already: ask for apps instead.")
        names = {name.strip().upper() for name in request.query_params.get("apps", "").split(",")} - {""}
        version = self._version_of(request.headers.get("last-event-id", ""))
        events = self._events(names, version, authorization)
        return lambda scope, receive, send: self._serve(events, scope, receive, send)

    # -- the events of one reader

    async def _events(
        self, names: set[str], version: int | None, authorization: str | None
    ) -> AsyncGenerator[bytes, None]:
        """What a reader that knows this version has to hear, in pieces, as long as its credential is good."""
        if version is not None and self._log.knows_what_followed(version):
            yield b": going on after %b\n\n" % self._id_of(version)
        while self._is_reader(authorization):
            if version is None or not self._log.knows_what_followed(version):
                # Before the answer is made, which may take turns with changes: those are told once more.
                version = self._registry.version
                event = [b"event: registry\nid: %b\ndata: " % self._id_of(version), *await self._whole(names), b"\n\n"]
                for piece in _pieces(event):
                    yield piece
                continue
            version, written = self._changes_after(version, names)
            if written:
                yield written
            elif not await self._has_news():
                version = self._registry.version
                # An id without data is no event, but tells where to go on (§9.2.6).
                yield b": keep-alive\nid: %b\n\n" % self._id_of(version)

    def _is_reader(self, authorization: str | None) -> bool:
        try:
            self._access.require_reader(authorization)
        except CredentialNeeded:
            return False
        return True

    async def _whole(self, names: set[str]) -> Sequence[bytes]:
        if not names:
            return (await self._answers.whole("full", Form("json"))).pieces
        wanted = {name: found for name in sorted(names) if (found := self._registry.application(name))}
        written = [(name, map(json_codec.write_fragment, found)) for name, found in wanted.items()]
        return [json_codec.write_applications(written, version=_FULL_VERSION, hash_code=hash_code(wanted))]

    def _changes_after(self, version: int, names: set[str]) -> tuple[int, bytes]:
        """The oldest of the changes after a version, a piece's worth of them, and the version that they lead to."""
        newer = self._log.after(version)
        written: list[bytes] = []
        size = 0
        while newer and size < _PIECE_BYTES:
            change = newer.pop()
            version = change.event.version
            if not names or change.event.instance.app in names:
                written.append(b"event: change\nid: %b\ndata: %b\n\n" % (self._id_of(version), change.written()))
                size += len(written[-1])
        return version, b"".join(written)

    async def _has_news(self) -> bool:
        """Wait for the next change; False when it is time to show a reader that we are here."""
        try:
            async with asyncio.timeout(self._settings.stream_keep_alive_seconds):
                await self._log.news.wait()
        except TimeoutError:
            return False
        return True

    def _id_of(self, version: int) -> bytes:
        return f"{version}-{self._start}".encode("ascii")

    def _version_of(self, event_id: str) -> int | None:
        version, _, start = event_id.partition("-")
        is_ours = start == self._start and version.isascii() and version.isdecimal() and len(version) < 20
        return int(version) if is_ours else None

    # -- one reader's answer

    async def _serve(self, events: AsyncGenerator[bytes, None], scope: Scope, receive: Receive, send: Send) -> None:
        """Until the reader leaves or is cut off, or the server stops."""
        connection = connection_of(scope)
        sending = asyncio.create_task(self._send_all(events, send))
        leaving = asyncio.create_task(_has_left(receive))
        connection.at_shutdown = sending.cancel
        self._readers += 1
        STREAM_READERS.set(self._readers)
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done():
                try:
                    await _end(sending, send)
                except TimeoutError:
                    logger.warning("a reader of the stream is cut off: it takes nothing")
                    connection.cut()
        finally:
            self._readers -= 1
            STREAM_READERS.set(self._readers)
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_all(self, events: AsyncGenerator[bytes, None], send: Send) -> None:
        """Raises TimeoutError when the reader has not taken anything for too long."""
        headers = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(events):
            async for piece in events:
                async with asyncio.timeout(self._settings.reader_patience_seconds):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _end(sending: "asyncio.Task[None]", send: Send) -> None:
    """End an answer whose events have ended. Raises TimeoutError when the reader does not take even that."""
    if not sending.cancelled():
        await sending  # raises what ended it
    async with asyncio.timeout(_FAREWELL_SECONDS):
        await send({"type": "http.response.body", "body": b""})


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes: small parts joined, large ones split."""
    waiting = bytearray()
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            waiting += part[start : start + _PIECE_BYTES]
            if len(waiting) >= _PIECE_BYTES:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

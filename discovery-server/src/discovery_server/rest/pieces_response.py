"""Sends a large answer bit by bit, so that a reader that is slow costs neither a copy of it nor anybody else's time."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from .server import connection_of

logger = logging.getLogger(__name__)

# What is buffered for a reader at most, beside what the kernel does; when that is sent, the next bit is taken.
_BIT_BYTES = 256 * 1024


class PiecesResponse:
    """An answer in pieces, which many answers share.

    A reader that takes nothing for `patience_seconds`, or hardly anything, is cut off.
    """

    def __init__(self, pieces: Sequence[bytes], headers: Mapping[str, str], *, patience_seconds: float) -> None:
        self._pieces = pieces
        self._patience_seconds = patience_seconds
        self._length = sum(map(len, pieces))
        self._headers = [
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
            (b"content-length", str(self._length).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if scope["method"] == "HEAD" or self._length <= _BIT_BYTES:
            await send({"type": "http.response.body", "body": b"".join(self._pieces)})
            return
        try:
            for bit in self._bits():
                async with asyncio.timeout(self._patience_seconds):
                    await send({"type": "http.response.body", "body": bit, "more_body": True})
            async with asyncio.timeout(self._patience_seconds):
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            logger.warning("a reader of %s took nothing for %g s: it is cut off", scope["path"], self._patience_seconds)
            connection_of(scope).cut()

    def _bits(self) -> Iterator[bytes | memoryview]:
        """The pieces, small ones joined and large ones split."""
        small: list[bytes] = []
        small_bytes = 0
        for piece in self._pieces:
            if small and small_bytes + len(piece) > _BIT_BYTES:
                yield b"".join(small)
                small, small_bytes = [], 0
            if len(piece) > _BIT_BYTES:
                yield from (memoryview(piece)[start : start + _BIT_BYTES] for start in range(0, len(piece), _BIT_BYTES))
            else:
                small.append(piece)
                small_bytes += len(piece)
        if small:
            yield b"".join(small)

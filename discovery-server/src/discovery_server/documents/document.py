"""One large document, kept as bytes until what it tells of changes; many readers wait for one making of it."""

import asyncio
import gzip
from collections.abc import Sequence
from typing import NamedTuple

from discovery_server.wire.form import Form

from .deflating import deflate, gzip_of
from .pieces import Pieces
from .sources import Source

_GZIP_LEVEL = 3
_SMALL_BYTES = 64 * 1024  # compressed faster than a thread would begin with it
_MEDIUM_BYTES = 1024 * 1024  # compressed as one in 10 ms, and much better than in pieces


class Made(NamedTuple):
    version: int  # of the source
    pieces: Sequence[bytes]


class Document:
    """A source in one form. A reader gets it as it was when the reader came, or newer."""

    def __init__(self, form: Form, source: Source, lender: Pieces | None = None) -> None:
        self.source = source
        self.applications = Pieces(form, lender)
        self._form = form
        self._plain = self._gzipped = Made(-1, ())
        self._deflated: dict[bytes, bytes] = {}
        self._making = asyncio.Lock()
        self._compressing = asyncio.Lock()

    async def plain(self) -> Made:
        wanted = self.source.version
        if self._plain.version != wanted:
            async with self._making:
                if self._plain.version < wanted:
                    self._plain = await self._make()
        return self._plain

    async def gzipped(self) -> Made:
        wanted = self.source.version
        if self._gzipped.version != wanted:
            async with self._compressing:
                if self._gzipped.version < wanted:
                    self._gzipped = await self._compress(await self.plain())
        return self._gzipped

    async def _make(self) -> Made:
        await self.applications.follow(self.source.marks, self.source.read)
        source = self.source
        head, tail = self._form.codec.write_frame(
            version=source.shown_version, hash_code=source.hash_code, compact=self._form.compact
        )
        return Made(source.version, [head, *self.applications.bodies(), tail])

    async def _compress(self, plain: Made) -> Made:
        length = sum(map(len, plain.pieces))
        if length <= _SMALL_BYTES:
            body = _compressed_as_one(plain.pieces)
        # In a thread: zlib lets this one go on with renewals, on another processor if there is one.
        elif length <= _MEDIUM_BYTES:
            body = await asyncio.to_thread(_compressed_as_one, plain.pieces)
        else:
            self._deflated, body = await asyncio.to_thread(_compressed_in_pieces, plain.pieces, self._deflated)
        return Made(plain.version, [body])


def _compressed_as_one(pieces: Sequence[bytes]) -> bytes:
    return gzip.compress(b"".join(pieces), _GZIP_LEVEL)


def _compressed_in_pieces(pieces: Sequence[bytes], known: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    """With what is worth to be known the next time: each piece compressed."""
    deflated = {piece: known.get(piece) or deflate(piece) for piece in pieces}
    return deflated, gzip_of(pieces, [deflated[piece] for piece in pieces])

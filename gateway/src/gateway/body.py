"""The client's body on its way to the service: whole if it is here already, else piece by piece, never too much."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from chassis.problems import BodyTooLarge

from .errors import AmbiguousRequest, ClientGone, ClientTooSlow
from .headers import ClientHeaders
from .upstream import CompleteBody
from .visits import Visit

_SMALL_BYTES = 64 * 1024


async def read_body(
    headers: ClientHeaders, visit: Visit, *, limit_bytes: int, patience_seconds: float
) -> httpx.AsyncByteStream:
    """The body as a stream; a CompleteBody if it is small or came at once.

    Raises BodyTooLarge, AmbiguousRequest, ClientTooSlow, ClientGone.
    """
    promised = None if headers.is_chunked else headers.content_length
    if promised == 0:
        return CompleteBody()
    if promised is not None and promised > limit_bytes:
        raise _too_large(limit_bytes)
    visit.is_read = False
    content, more = b"", True
    try:
        async with asyncio.timeout(patience_seconds):
            # One message of a long body; all of a short one, which can be sent again if an instance breaks.
            while more and (not content or (promised is not None and promised <= _SMALL_BYTES)):
                chunk, more = await _receive(visit)
                content += chunk
    except TimeoutError:
        raise ClientTooSlow(f"The body did not come within {patience_seconds:g} s.") from None
    if more:
        return ComingBody(content, promised, visit, limit_bytes)
    visit.is_read = True
    _check(len(content), promised, limit_bytes, is_whole=True)
    return CompleteBody(content)


class ComingBody(httpx.AsyncByteStream):
    """A body that is still on its way, to be read once. Raises what `read_body` does in the middle."""

    def __init__(self, first: bytes, promised: int | None, visit: Visit, limit_bytes: int) -> None:
        self._first = first
        self._promised = promised
        self._visit = visit
        self._limit_bytes = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk, more, received = self._first, True, len(self._first)
        self._first = b""
        while True:
            _check(received, self._promised, self._limit_bytes, is_whole=not more)
            yield chunk
            if not more:
                break
            chunk, more = await _receive(self._visit)
            received += len(chunk)
        self._visit.is_read = True


async def _receive(visit: Visit) -> tuple[bytes, bool]:
    """The next part of the body, and whether there is more to come."""
    message = await visit.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _check(received: int, promised: int | None, limit_bytes: int, *, is_whole: bool) -> None:
    if received > limit_bytes:
        raise _too_large(limit_bytes)
    if promised is not None and (received > promised or (is_whole and received < promised)):
        # Never sent on: the service would take the next request for the rest of this body. It happens with an
        # `Upgrade`, where the parser takes what follows the head for another protocol.
        raise AmbiguousRequest("The body is not as long as its Content-Length says.")


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {limit_bytes} bytes of body are passed on.")

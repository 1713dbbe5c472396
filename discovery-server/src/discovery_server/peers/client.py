"""HTTP to one other server: calls that either give an answer or say that it is away."""

import asyncio
import json
import time
from typing import Any, Self

import httpx

from discovery_server.wire import json_codec

from .address import PeerAddress

# What a call may answer; a page of states is an eighth of it. All of a large Eureka, once, may be more.
_LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
LARGEST_COPY_BYTES = 64 * 1024 * 1024

# Failures of a kept connection that the other side has closed meanwhile. Calls of servers may be repeated safely.
_STALE = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class PeerAway(Exception):
    """The peer gave no answer that can be used; the message says what happened."""


class PeerBusy(PeerAway):
    """The peer has too much to do (503)."""


class PeerUnlike(Exception):
    """The peer is there and does not know this path: it is Eureka, or not as new as we are."""


class PageRefused(Exception):
    """The peer takes no body of this size (413)."""


class PeerClient:
    """Calls to one peer, over kept connections, each within a time limit; redirects are not followed."""

    round_trip_seconds: float | None = None  # of the last call that was answered

    def __init__(self, address: PeerAddress, *, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(
            base_url=address.url,
            auth=address.credential,
            # Certificates are only loaded (20 ms) where TLS is spoken.
            verify=address.url.startswith("https"),
            trust_env=False,
            timeout=timeout_seconds,
            follow_redirects=False,
            headers={"Accept": json_codec.MEDIA_TYPE},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, path: str, body: bytes) -> dict[str, Any]:
        """The answer of JSON to a body of JSON. Raises PeerAway, PeerUnlike, PageRefused."""
        return await self._call("POST", path, body, largest_bytes=_LARGEST_ANSWER_BYTES)

    async def get(self, path: str) -> dict[str, Any]:
        """A document of JSON. Raises PeerAway, PeerUnlike."""
        return await self._call("GET", path, None, largest_bytes=LARGEST_COPY_BYTES)

    async def _call(self, method: str, path: str, body: bytes | None, *, largest_bytes: int) -> dict[str, Any]:
        began = time.monotonic()
        try:
            # httpx limits each read; what comes in drops is limited here.
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    status, content = await self._send(method, path, body, largest_bytes)
                except _STALE:
                    status, content = await self._send(method, path, body, largest_bytes)
        except TimeoutError as error:
            raise PeerAway(f"no answer within {self._timeout_seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerAway(str(error) or type(error).__name__) from error
        _raise_for(status)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise PeerAway("its answer is no JSON") from error
        if not isinstance(answer, dict):
            raise PeerAway("its answer is no object of JSON")
        self.round_trip_seconds = time.monotonic() - began
        return answer

    async def _send(self, method: str, path: str, body: bytes | None, largest_bytes: int) -> tuple[int, bytes]:
        headers = {"Content-Type": json_codec.MEDIA_TYPE} if body is not None else {}
        async with self._client.stream(method, path, content=body, headers=headers) as answer:
            content = bytearray()
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > largest_bytes:
                    raise PeerAway(f"its answer is over {largest_bytes} bytes")
            return answer.status_code, bytes(content)


def _raise_for(status: int) -> None:
    match status:
        case 200:
            return
        case 404 | 405:
            raise PeerUnlike(f"it answered {status}")
        case 413:
            raise PageRefused("it answered 413")
        case 401 | 403:
            raise PeerAway(f"it does not take our credential ({status})")
        case 503:
            raise PeerBusy("it is too busy (503)")
        case _:
            raise PeerAway(f"it answered {status}")

"""A client that says exactly what a test wants said."""

import asyncio
import contextlib
import struct
from typing import Any, TypeVar

from embedded_kafka.messages import APIS
from embedded_kafka.wire import decode, encode

Response = TypeVar("Response")
_VERSIONS = {api.request: (api.key, api.max_version) for api in APIS}


def frame(request: Any, *, correlation_id: int = 1, client_id: bytes = b"raw") -> bytes:
    """The request in the newest version that is offered."""
    key, version = _VERSIONS[type(request)]
    header = struct.pack(">hhih", key, version, correlation_id, len(client_id)) + client_id
    body = b"".join(encode(request, version))
    return struct.pack(">i", len(header) + len(body)) + header + body


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, bootstrap: str) -> "RawClient":
        host, _, port = bootstrap.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def ask(self, request: Any, response: type[Response]) -> Response:
        self.writer.write(frame(request))
        return await self.answer(request, response)

    async def answer(self, request: Any, response: type[Response]) -> Response:
        """The next answer, which must be to that request."""
        async with asyncio.timeout(10):
            (length,) = struct.unpack(">i", await self.reader.readexactly(4))
            message = await self.reader.readexactly(length)
        answer: Response = decode(response, _VERSIONS[type(request)][1], message, 4)
        return answer

    async def is_closed_by_the_broker(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

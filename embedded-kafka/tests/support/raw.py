"""A client that says exactly what a test wants said."""

import asyncio
import contextlib
import struct
from typing import Any

from embedded_kafka.messages import APIS, HEADER

_APIS = {api.name: api for api in APIS}


def frame(name: str, **fields: Any) -> bytes:
    """A request of that API; what is left out is zero, empty or null."""
    api = _APIS[name]
    header = {"api_key": api.key, "version": api.version, "correlation_id": 1, "client_id": "raw"}
    message = b"".join(HEADER.encode(header) + api.request.encode(fields))
    return struct.pack(">i", len(message)) + message


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, bootstrap: str) -> "RawClient":
        host, _, port = bootstrap.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def ask(self, name: str, **fields: Any) -> Any:
        self.writer.write(frame(name, **fields))
        return await self.answer(name)

    async def answer(self, name: str) -> Any:
        """The next answer, which must be to a request of that API."""
        async with asyncio.timeout(10):
            (length,) = struct.unpack(">i", await self.reader.readexactly(4))
            message = await self.reader.readexactly(length)
        answer, end = _APIS[name].response.decode(message, 4)
        assert end == length
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

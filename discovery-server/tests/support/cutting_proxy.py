"""A way from one server to another that can be cut: a TCP proxy on loopback, one for each direction of asking."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum


class Cut(StrEnum):
    """What becomes of the bytes."""

    NONE = "they pass"
    REFUSED = "connections are closed at once"
    SILENT = "they are lost, and nobody is told"
    ANSWERS_LOST = "what is asked arrives, what is answered is lost"


class CuttingProxy:
    """Forwards connections to a port of this machine, as far as it is not cut."""

    def __init__(self) -> None:
        self.target_port = 0
        self.port = 0
        self._cut = Cut.NONE
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self, how: Cut) -> None:
        """From now on. Connections that go on are torn: by a cut that closes them, and by the healing of another."""
        if how in (Cut.NONE, Cut.REFUSED):
            for writer in self._writers:
                writer.transport.abort()
        self._cut = how

    def heal(self) -> None:
        if self._cut is not Cut.NONE:
            self.cut(Cut.NONE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut is Cut.REFUSED:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._forward(reader, there_writer, lost_by={Cut.SILENT}),
                self._forward(there_reader, writer, lost_by={Cut.SILENT, Cut.ANSWERS_LOST}),
            )
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lost_by: set[Cut]) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self._cut not in lost_by:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()  # ends the other direction as well


@asynccontextmanager
async def cutting_proxy() -> AsyncIterator[CuttingProxy]:
    """A proxy that listens; its target port has to be set."""
    proxy = CuttingProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut(Cut.REFUSED)
        await server.wait_closed()

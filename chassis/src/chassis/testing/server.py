"""An ASGI app behind a real socket, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from chassis.http_protocol import HttpProtocol


def free_socket() -> socket.socket:
    """A bound socket on loopback; its port is free for whoever listens on it."""
    # Named as TCP: asyncio switches Nagle's delays (40 ms for each answer) off only where it can see that it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


@asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket | None = None, **uvicorn_options: Any) -> AsyncIterator[str]:
    """Serve the app, lifespan included, and give its base URL. Raises RuntimeError if it does not start."""
    listener = listener or free_socket()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
        **{"http": HttpProtocol, **uvicorn_options},
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait(
            [task, started := asyncio.create_task(server.has_started.wait())], return_when="FIRST_COMPLETED"
        )
        started.cancel()
        if not server.started:
            raise RuntimeError("the app did not start; its log says why")
        yield "http://{}:{}".format(*listener.getsockname())
    finally:
        server.stop()
        await task
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn that leaves the test process's signal handlers alone and tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        # uvicorn's own looks ten times a second whether it should stop: a tenth of a second for each test.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

"""A broker that listens: started and stopped by itself, as a context manager in tests, or until a signal comes."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .broker import Broker, DataInUse
from .connection import Connection
from .log import DamagedLog
from .settings import BrokerSettings

logger = logging.getLogger(__name__)

_STOP_SECONDS = 1.0


class CannotStart(Exception):
    """Why the broker can't serve, in one sentence for whoever started it."""


class Server:
    """A broker that listens, between `start` and `stop`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._connections: set[Connection] = set()

    async def start(self) -> None:
        """Raises CannotStart."""
        settings = self._settings
        try:
            self.broker = Broker(settings)
        except OSError as error:
            raise CannotStart(f"Cannot use the data folder {settings.data}: {error.strerror or error}.") from error
        except (DataInUse, DamagedLog, ValueError) as error:
            raise CannotStart(f"Cannot use the data folder {settings.data}: {error}") from error
        self._loop = asyncio.get_running_loop()
        try:
            self._listener = await self._loop.create_server(
                lambda: Connection(self.broker, self._connections), settings.host, settings.port
            )
        except OSError as error:
            self.broker.close()
            why = "the port is occupied" if error.errno == errno.EADDRINUSE else error.strerror or error
            raise CannotStart(f"Cannot listen on {settings.host}:{settings.port}: {why}.") from error
        if not _is_loopback(settings.host):
            logger.warning("Listening on %s: whoever reaches it can read and write everything.", settings.host)
        self._housekeeping = self._loop.call_later(settings.housekeeping_seconds, self._housekeep)

    @property
    def bootstrap(self) -> str:
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def stop(self) -> None:
        self.broker.stopping = True
        self._housekeeping.cancel()
        self._listener.close()
        connections = list(self._connections)
        for connection in connections:
            connection.transport.close()
        closed = asyncio.gather(*[connection.closed for connection in connections])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(closed), _STOP_SECONDS)
        for connection in list(self._connections):
            connection.transport.abort()  # it does not read what it was answered
        await closed
        await self._listener.wait_closed()
        self.broker.close()

    def _housekeep(self) -> None:
        try:
            self.broker.housekeep()
        except OSError:
            logger.exception("Housekeeping failed; it will be tried again.")
        now = self._loop.time()
        for connection in list(self._connections):
            connection.close_if_stuck(now)
        self._housekeeping = self._loop.call_later(self._settings.housekeeping_seconds, self._housekeep)


class EmbeddedKafka:
    """A broker for tests: `async with EmbeddedKafka(folder) as kafka: ... kafka.bootstrap`.

    Without a folder its data is in a temporary one, gone at the end. Other keyword arguments are BrokerSettings.
    """

    def __init__(self, data_dir: Path | None = None, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> None:
        self._data_dir, self._host, self._port, self._more = data_dir, host, port, settings
        self._cleanup = contextlib.ExitStack()

    @property
    def bootstrap(self) -> str:
        """`host:port`, as clients want it."""
        return self._server.bootstrap

    async def __aenter__(self) -> "EmbeddedKafka":
        data = self._data_dir or Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="kafka-")))
        self._server = Server(BrokerSettings(data=data, host=self._host, port=self._port, **self._more))
        try:
            await self._server.start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        self._cleanup.close()


async def serve(
    data: Path, host: str = "127.0.0.1", port: int = 9092, ready: Callable[[str], None] | None = None, **settings: Any
) -> None:
    """Serves until cancelled, or told to stop by SIGTERM or SIGINT. `ready` gets the bootstrap address.

    Raises CannotStart. Other keyword arguments are BrokerSettings.
    """
    server = Server(BrokerSettings(data=data, host=host, port=port, **settings))
    await server.start()
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, told_to_stop.set)
    try:
        if ready:
            ready(server.bootstrap)
        await told_to_stop.wait()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        await server.stop()


def ready_line(bootstrap: str, data: Path) -> str:
    return f"ready bootstrap={bootstrap} pid={os.getpid()} data={data}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""A broker that listens: as a context manager in tests, or until a signal comes."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
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


class EmbeddedKafka:
    """A broker for tests: `async with EmbeddedKafka(folder) as kafka: ... kafka.bootstrap`.

    Without a folder its data is in a temporary one, gone at the end. Other keyword arguments are BrokerSettings.
    Entering raises CannotStart.
    """

    def __init__(self, data_dir: Path | None = None, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> None:
        self._data_dir, self._set = data_dir, {"host": host, "port": port, **settings}
        self._connections: set[Connection] = set()

    @property
    def bootstrap(self) -> str:
        """`host:port`, as clients want it."""
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def __aenter__(self) -> "EmbeddedKafka":
        self._loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as undo:
            data = self._data_dir or Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="kafka-")))
            self._settings = settings = BrokerSettings(data=data, **self._set)
            self._broker = _opened(settings)
            undo.callback(self._broker.close)
            try:
                self._listener = await self._loop.create_server(
                    lambda: Connection(self._broker, self._connections), settings.host, settings.port
                )
            except OSError as error:
                why = "the port is occupied" if error.errno == errno.EADDRINUSE else error.strerror or error
                raise CannotStart(f"Cannot listen on {settings.host}:{settings.port}: {why}.") from error
            self._cleanup = undo.pop_all()
        if not _is_loopback(settings.host):
            logger.warning("Listening on %s: whoever reaches it can read and write everything.", settings.host)
        self._housekeeping = self._loop.call_later(settings.housekeeping_seconds, self._housekeep)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._broker.stopping = True
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
        self._cleanup.close()

    def _housekeep(self) -> None:
        try:
            self._broker.housekeep()
        except OSError:
            logger.exception("Housekeeping failed; it will be tried again.")
        now = self._loop.time()
        for connection in list(self._connections):
            connection.close_if_stuck(now)
        self._housekeeping = self._loop.call_later(self._settings.housekeeping_seconds, self._housekeep)


async def serve(
    data: Path, host: str = "127.0.0.1", port: int = 9092, ready: Callable[[str], None] = print, **settings: Any
) -> None:
    """Serves until cancelled, or told to stop by SIGTERM or SIGINT. `ready` gets the bootstrap address.

    Raises CannotStart. Other keyword arguments are BrokerSettings.
    """
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with EmbeddedKafka(data, host, port, **settings) as kafka:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, told_to_stop.set)
        try:
            ready(kafka.bootstrap)
            await told_to_stop.wait()
        finally:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)


def _opened(settings: BrokerSettings) -> Broker:
    try:
        return Broker(settings)
    except (OSError, DataInUse, DamagedLog, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"Cannot use the data folder {settings.data}: {why.rstrip('.')}.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

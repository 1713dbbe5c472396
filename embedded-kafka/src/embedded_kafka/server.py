"""Connections: frames in, answers out in the same order, and limits that cost the offender's connection only."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .broker import Broker, Caller, DataInUse, failure, unsupported_api_versions
from .errors import KafkaError
from .log import DamagedLog
from .messages import API_VERSIONS
from .settings import BrokerSettings
from .wire import Malformed, RequestHeader, decode, encode, read_header, response_frame

logger = logging.getLogger(__name__)

_LENGTH = struct.Struct(">i")
_STOP_SECONDS = 1.0


class CannotStart(Exception):
    """Why the broker can't serve, in one sentence for whoever started it."""


class Connection(asyncio.Protocol):
    """One client. As in Kafka, its next request is begun once the one before is answered."""

    def __init__(self, broker: Broker, connections: set["Connection"]) -> None:
        self._broker = broker
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._pending: asyncio.Future[Any] | None = None
        self._flooded = False  # the client reads slower than it asks
        self.quiet_since = self._loop.time()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        peer, broker = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._caller = Caller(f"/{peer[0]}", broker[0], broker[1])
        if len(self._connections) >= self._broker.settings.max_connections:
            self._refuse(f"there are {len(self._connections)} connections already")
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._pending:
            self._pending.cancel()
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self.quiet_since = self._loop.time()
        self._received += data
        self._serve()

    def pause_writing(self) -> None:
        self._flooded = True

    def resume_writing(self) -> None:
        self._flooded = False
        self._serve()

    def close_if_stuck(self, now: float) -> None:
        """Called now and then. Nobody may hold a connection by saying nothing, or half of something."""
        settings = self._broker.settings
        allowed_seconds = settings.half_request_seconds if self._received else settings.idle_seconds
        if not self._pending and now - self.quiet_since > allowed_seconds:
            logger.warning("Closing the connection of %s: nothing whole has come for a while.", self._caller.host)
            self.transport.abort()

    def _serve(self) -> None:
        while not self._pending and not self._flooded and not self.transport.is_closing():
            received = self._received
            if len(received) < _LENGTH.size:
                break
            (length,) = _LENGTH.unpack_from(received)
            if not 0 <= length <= self._broker.settings.max_request_bytes:
                self._refuse(f"a request of {length} bytes")
                break
            end = _LENGTH.size + length
            if len(received) < end:
                break
            message = bytes(memoryview(received)[_LENGTH.size : end])
            del received[:end]
            self.quiet_since = self._loop.time()
            self._begin(message)
        self._throttle()

    def _throttle(self) -> None:
        """Bytes of later requests pile up in the kernel, and so at the client, rather than here."""
        waiting = (self._pending is not None or self._flooded) and len(self._received) > 0
        if waiting and self.transport.is_reading():
            self.transport.pause_reading()
        elif not waiting and not self.transport.is_reading() and not self.transport.is_closing():
            self.transport.resume_reading()

    def _begin(self, message: bytes) -> None:
        try:
            header, client_id, position = read_header(message)
            if header.api_key == API_VERSIONS.key and header.version > API_VERSIONS.max_version:
                self._answer(replace(header, version=0), unsupported_api_versions())
                return
            api, handle = self._broker.handlers.get(header.api_key, (None, None))
            if not api or not handle or not api.min_version <= header.version <= api.max_version:
                raise Malformed(f"version {header.version} of API {header.api_key}, which is not offered")
            request = decode(api.request, header.version, message, position)
        except Malformed as error:
            self._refuse(str(error))
            return
        try:
            result = handle(request, replace(self._caller, client_id=client_id, api_version=header.version))
            if isinstance(result, asyncio.Future):
                self._pending = result
                result.add_done_callback(lambda done: self._finish(header, request, done))
            elif result is not None:
                self._answer(header, result)
        except KafkaError as error:
            self._answer(header, failure(request, error))
        except OSError as error:
            self._refuse(f"{api.name} failed: {error}")
        except Exception:
            logger.exception("%s failed; closing the connection of %s.", api.name, self._caller.host)
            self.transport.close()

    def _finish(self, header: RequestHeader, request: Any, done: asyncio.Future[Any]) -> None:
        self._pending = None
        if done.cancelled() or self.transport.is_closing():
            return
        error = done.exception()
        if error is None:
            self._answer(header, done.result())
        elif isinstance(error, KafkaError):
            self._answer(header, failure(request, error))
        else:
            raise error
        self._serve()

    def _answer(self, header: RequestHeader, response: Any) -> None:
        self.quiet_since = self._loop.time()
        self.transport.writelines(response_frame(header.correlation_id, encode(response, header.version)))

    def _refuse(self, why: str) -> None:
        logger.warning("Closing the connection of %s: %s.", self._caller.host, why)
        self.transport.close()


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
        return f"{host}:{port}"

    async def stop(self) -> None:
        self._housekeeping.cancel()
        self._listener.close()
        connections = list(self._connections)
        for connection in connections:
            connection.transport.close()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=_STOP_SECONDS)
        for connection in list(self._connections):
            connection.transport.abort()
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

"""One client's connection: requests in, answers out in the same order, and limits that cost nobody else."""

import asyncio
import logging
import struct
from dataclasses import replace
from typing import Any, cast

from .broker import Broker
from .caller import Caller
from .errors import KafkaError
from .group_apis import failure
from .messages import API_VERSIONS
from .topic_apis import unsupported_api_versions
from .wire import Malformed, RequestHeader, decode, encode, read_header, response_frame

logger = logging.getLogger(__name__)

_LENGTH = struct.Struct(">i")
_JOINED_BYTES = 64 * 1024  # copying so much costs less than another system call


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
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        nobody = ("?", 0)  # a client that has gone already has no address
        peer = transport.get_extra_info("peername") or nobody
        broker = transport.get_extra_info("sockname") or nobody
        self._caller = Caller(f"/{peer[0]}", broker[0], broker[1])
        if self._broker.stopping:
            transport.close()  # it was accepted while the listener was being closed
        elif len(self._connections) >= self._broker.settings.max_connections:
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
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or self.transport.is_closing():
            return
        if error is None:
            self._answer(header, done.result())
        elif isinstance(error, KafkaError):
            self._answer(header, failure(request, error))
        else:
            self._refuse(f"a {type(request).__name__} that waited failed: {error!r}")
        self._serve()

    def _answer(self, header: RequestHeader, response: Any) -> None:
        self.quiet_since = self._loop.time()
        pieces = response_frame(header.correlation_id, encode(response, header.version))
        # Not writelines: before Python 3.12.9 and 3.13.2 it never paused a client that does not read (CVE-2024-12254).
        if sum(map(len, pieces)) <= _JOINED_BYTES:
            self.transport.write(b"".join(pieces))
            return
        for piece in pieces:
            self.transport.write(piece)

    def _refuse(self, why: str) -> None:
        logger.warning("Closing the connection of %s: %s.", self._caller.host, why)
        self.transport.close()

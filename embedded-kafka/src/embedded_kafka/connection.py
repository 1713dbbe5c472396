"""One client's connection: requests in, answers out in the same order, and limits that cost nobody else."""

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any, cast

from .broker import Broker
from .errors import ErrorCode, KafkaError
from .messages import API_VERSIONS, HEADER, Api, Caller
from .topic_apis import api_versions
from .wire import Buffer, Malformed, response_frame

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
        self._answers: list[Buffer] = []  # to requests that came together
        self._answers_bytes = 0
        self._pending: asyncio.Future[Any] | None = None
        self._flooded = False  # the client reads slower than it asks
        self._quiet_since = self._loop.time()
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
            self._quiet_since = self._loop.time()
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
        if not self._pending and now - self._quiet_since > allowed_seconds:
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
            self._quiet_since = self._loop.time()
            self._begin(message)
        self._send()
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
            header, position = HEADER.decode(message)
            if header.api_key == API_VERSIONS.key and header.version != API_VERSIONS.version:
                # KIP-511: who asks in a version that we lack is answered in version 0.
                unsupported = {"error_code": ErrorCode.UNSUPPORTED_VERSION} | api_versions()
                self._answer(header.correlation_id, API_VERSIONS, unsupported)
                return
            api, handle = self._broker.handlers.get((header.api_key, header.version), (None, None))
            if not api or not handle:
                raise Malformed(f"version {header.version} of API {header.api_key}, which is not offered")
            request, _ = api.request.decode(message, position)
        except Malformed as error:
            self._refuse(str(error))
            return
        if header.client_id != self._caller.client_id:
            self._caller = self._caller._replace(client_id=header.client_id)
        self._respond(header.correlation_id, api, lambda: handle(request, self._caller))

    def _respond(self, correlation_id: int, api: Api, result: Callable[[], Any]) -> None:
        try:
            response = result()
            if isinstance(response, asyncio.Future):
                self._pending = response
                response.add_done_callback(lambda done: self._finish(correlation_id, api, done))
            elif response is not None:
                self._answer(correlation_id, api, response)
        except KafkaError as error:
            self._answer(correlation_id, api, {"error_code": error.code})
        except OSError as error:
            self._refuse(f"{api.name} failed: {error}")
        except Exception:
            logger.exception("%s failed.", api.name)
            self._refuse("this is our fault, not the client's")

    def _finish(self, correlation_id: int, api: Api, done: asyncio.Future[Any]) -> None:
        self._pending = None
        if not done.cancelled() and not self.transport.is_closing():
            self._respond(correlation_id, api, done.result)
            self._serve()

    def _answer(self, correlation_id: int, api: Api, response: dict[str, Any]) -> None:
        self._quiet_since = self._loop.time()
        pieces = response_frame(correlation_id, api.response.encode(response))
        self._answers += pieces
        self._answers_bytes += sum(map(len, pieces))
        if self._answers_bytes > _JOINED_BYTES:
            self._send()

    def _send(self) -> None:
        pieces, size_bytes = self._answers, self._answers_bytes
        self._answers, self._answers_bytes = [], 0
        # Not writelines: before Python 3.12.9 and 3.13.2 it never paused a client that does not read (CVE-2024-12254).
        if size_bytes <= _JOINED_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self.transport.write(piece)

    def _refuse(self, why: str) -> None:
        logger.warning("Closing the connection of %s: %s.", self._caller.host, why)
        self._send()
        self.transport.close()

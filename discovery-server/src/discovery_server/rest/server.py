"""uvicorn's HTTP protocol, with what answers without an end need: to hear of the shutdown, and to be cut off."""

import re
import struct
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from discovery_server.metrics import READER_CUTS

_EXTENSION = "discovery-server.connection"

# With its first request Java's HttpClient offers to go on in HTTP/2 (RFC 7540 §3.2; withdrawn by RFC 9113 §3.1).
_OFFER_OF_HTTP_2 = re.compile(rb"\A([A-Z]+ [^\r\n]+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?)Upgrade: *h2c\r\n", re.IGNORECASE)


class Connection:
    """The connection that a request came over; an extension of ASGI's scope."""

    __slots__ = ("at_shutdown", "cut")

    def __init__(self, cut: Callable[[], None]) -> None:
        self.cut = cut
        """Close it at once, whatever the client has not taken yet."""
        self.at_shutdown: Callable[[], object] | None = None
        """Called when the server begins to stop: uvicorn then waits for all answers to end."""


class DiscoveryProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def data_received(self, data: bytes) -> None:
        # The parser takes what follows such an offer for the other protocol, and so loses the request's body.
        super().data_received(_OFFER_OF_HTTP_2.sub(rb"\1", data, count=1) if b"h2c" in data else data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"] = {_EXTENSION: Connection(self._cut)}

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is not None and not self.cycle.response_complete:
            connection = connection_of(cast(Scope, self.cycle.scope))
            if connection.at_shutdown is not None:
                connection.at_shutdown()

    def _cut(self) -> None:
        # With a reset: what the kernel holds for a client that takes nothing, it would hold for minutes.
        self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        self.cycle.disconnected = True  # as it is in a moment: uvicorn complains of answers that are not ended
        READER_CUTS.inc()


def connection_of(scope: Scope) -> Connection:
    """Raises KeyError where the app is not served with SERVER_OPTIONS."""
    found = scope["extensions"][_EXTENSION]
    assert isinstance(found, Connection)
    return found


# How uvicorn has to serve the app.
SERVER_OPTIONS: dict[str, Any] = {"http": DiscoveryProtocol, "ws": "none"}

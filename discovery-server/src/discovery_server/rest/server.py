"""uvicorn's HTTP protocol, with what answers without an end need: to hear of the shutdown, and to be cut off."""

import struct
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, cast

from chassis.http_protocol import HttpProtocol
from starlette.types import Scope

from discovery_server.metrics import READER_CUTS

_EXTENSION = "discovery-server.connection"


class Connection:
    """The connection that a request came over; an extension of ASGI's scope."""

    __slots__ = ("at_shutdown", "cut")

    def __init__(self, cut: Callable[[], None]) -> None:
        self.cut = cut
        """Close it at once, whatever the client has not taken yet."""
        self.at_shutdown: Callable[[], object] | None = None
        """Called when the server begins to stop: uvicorn then waits for all answers to end."""


class DiscoveryProtocol(HttpProtocol):
    """One connection of a client."""

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

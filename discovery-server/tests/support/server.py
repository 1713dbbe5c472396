"""A discovery-server on a free port of this machine, served in the running event loop."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.testing.server import running

from discovery_server.app import create_app
from discovery_server.registry import Clock, Registry
from discovery_server.settings import DiscoverySettings


@dataclass(frozen=True)
class RunningServer:
    url: str  # http://127.0.0.1:port
    registry: Registry

    @property
    def eureka(self) -> str:
        """The base URL that Eureka's clients are given, with a slash at its end."""
        return f"{self.url}/eureka/"

    def clear(self) -> None:
        """Deregister everybody."""
        for app, instances in self.registry.applications().items():
            for instance in instances:
                self.registry.cancel(app, instance.key)


@asynccontextmanager
async def running_server(
    *, clock: Clock | None = None, listener: socket.socket | None = None, **properties: object
) -> AsyncIterator[RunningServer]:
    """Serve with these settings, by their field names; without any credentials anybody may ask."""
    properties.setdefault("anonymous", "credentials" not in properties)
    settings = DiscoverySettings.of({f"discovery-server.{name}": value for name, value in properties.items()})
    app = create_app(settings, clock)
    async with running(app, listener) as url:
        yield RunningServer(url, app.state.registry)

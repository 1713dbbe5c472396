"""A discovery-server on a free port of this machine, served in the running event loop."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.testing.server import free_socket, running
from starlette.types import ASGIApp

from discovery_server.app import create_app
from discovery_server.registry.clock import Clock
from discovery_server.registry.registry import Registry
from discovery_server.rest.server import SERVER_OPTIONS
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
        """Deregister everybody, and let deltas forget it: three minutes of other tests would be read in each."""
        for app, instances in self.registry.applications().items():
            for instance in instances:
                self.registry.cancel(app, instance.key)
        self.registry._forget_changes_before(float("inf"))


@asynccontextmanager
async def running_server(
    *,
    clock: Clock | None = None,
    listener: socket.socket | None = None,
    state_dir: Path | None = None,
    service_password: str = "",
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    **properties: object,
) -> AsyncIterator[RunningServer]:
    """Serve with these settings, by their field names; without any credentials anybody may ask.

    `around` puts something between the server and its clients.
    """
    properties.setdefault("anonymous", "credentials" not in properties)
    with listener or free_socket() as listening:
        common: dict[str, object] = {"port": listening.getsockname()[1], "service-password": service_password}
        common |= {"state-dir": str(state_dir)} if state_dir is not None else {}
        settings = DiscoverySettings.of(
            common | {f"discovery-server.{name}": value for name, value in properties.items()}
        )
        app = create_app(settings, clock)
        async with running(around(app), listening, **SERVER_OPTIONS) as url:
            yield RunningServer(url, app.state.registry)

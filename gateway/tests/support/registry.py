"""A registry as discovery-server answers it, whose instances a test adds and removes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.testing.server import free_socket, running
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class FakeRegistry:
    """What is registered: service -> ports on loopback. `is_away` makes it answer 503."""

    def __init__(self) -> None:
        self.url = ""
        self.ports: dict[str, list[int]] = {}
        self.is_away = False
        self.reads = 0

    async def show(self, request: Request) -> Response:
        if self.is_away:
            return Response(status_code=503)
        self.reads += 1
        applications = [
            {
                "name": service.upper(),
                "instance": [
                    {
                        "instanceId": f"127.0.0.1:{service}:{port}",
                        "hostName": "127.0.0.1",
                        "ipAddr": "127.0.0.1",
                        "status": "UP",
                        "port": {"$": port, "@enabled": "true"},
                    }
                    for port in ports
                ],
            }
            for service, ports in self.ports.items()
            if ports
        ]
        return JSONResponse({"applications": {"application": applications}})


@asynccontextmanager
async def fake_registry() -> AsyncIterator[FakeRegistry]:
    registry = FakeRegistry()
    app = Starlette(routes=[Route("/eureka/apps", registry.show)])
    async with running(app, free_socket()) as registry.url:
        yield registry

"""Services that stand in a registry and note who has them refresh; and a config-server that finds them there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from chassis.refresh_calls import HEADER, is_signed_refresh
from chassis.testing.server import running
from chassis.testing.waiting import until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config_server.app import create_app
from config_server.settings import Settings

SECRET = "secret of the fleet"
HOOK_SECRET = "secret of the webhooks"
ADMIN = httpx.BasicAuth("admin", "pw-admin")
APPLICATION = httpx.BasicAuth("order-service", "pw-1")


@dataclass
class Service:
    """One instance. `answers` are statuses, the last one for good; None never comes."""

    name: str
    url: str = ""
    answers: list[int | None] = field(default_factory=lambda: [200])
    calls: list[Request] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def refresh(self, request: Request) -> Response:
        assert is_signed_refresh(request.headers[HEADER], SECRET, self.name)
        await request.body()
        self.calls.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            await asyncio.sleep(0.05 if status is not None else 3600)
        finally:
            self.at_once -= 1
        return JSONResponse({"changed": ["LOG_LEVEL"], "wait_for_restart": []}, status_code=status or 200)


class Neighbours:
    """The registry, and the services that it knows."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.url = ""
        self.listings = 0
        self.registered: list[Service] = []

    async def start(self, name: str, *answers: int | None, register: bool = True) -> Service:
        service = Service(name, answers=list(answers) or [200])
        app = Starlette(routes=[Route("/actuator/refresh", service.refresh, methods=["POST"])])
        service.url = await self._stack.enter_async_context(running(app))
        if register:
            self.registered.append(service)
        return service

    async def list(self, request: Request) -> Response:
        self.listings += 1
        applications = [
            {
                "name": service.name.upper(),
                "instance": [
                    {
                        "instanceId": f"{service.name}:{urlsplit(service.url).port}",
                        "hostName": "127.0.0.1",
                        "ipAddr": "127.0.0.1",
                        "status": "UP",
                        "port": {"$": urlsplit(service.url).port, "@enabled": "true"},
                    }
                ],
            }
            for service in self.registered
        ]
        return JSONResponse({"applications": {"application": applications}})


@asynccontextmanager
async def neighbourhood() -> AsyncIterator[Neighbours]:
    async with AsyncExitStack() as stack:
        neighbours = Neighbours(stack)
        registry = Starlette(routes=[Route("/eureka/apps", neighbours.list)])
        neighbours.url = await stack.enter_async_context(running(registry))
        yield neighbours


@asynccontextmanager
async def config_server(
    repository: Path | str, neighbours: Neighbours, state: Path, **fields: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a config-server over the repository, once it has looked at both."""
    properties: dict[str, Any] = {
        "config-server.git-uri": str(repository),
        "config-server.credentials": {"order-service": "pw-1"},
        "config-server.admin-credentials": "pw-admin",
        "config-server.webhook-secret": HOOK_SECRET,
        "config-server.watch-seconds": 0.1,
        "discovery.url": neighbours.url,
        "discovery.poll-seconds": 0.1,
        "refresh.secret": SECRET,
        "state.dir": str(state),
        "service.password": "pw-of-the-server",
    } | {f"config-server.{name.replace('_', '-')}": value for name, value in fields.items()}
    async with running(create_app(Settings.of(properties))) as url, httpx.AsyncClient(base_url=url) as client:
        listings = neighbours.listings
        await until(lambda: neighbours.listings > listings and any(state.glob("config-server-told-*")))
        yield client

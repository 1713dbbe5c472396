"""A gateway under test: on a real socket, with one client that keeps nothing and one that speaks raw bytes."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from chassis.security import Security
from chassis.testing.server import running
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until

from gateway.app import SERVER_OPTIONS, create_app
from gateway.routes import Route
from gateway.settings import Settings

from .registry import FakeRegistry


@dataclass(frozen=True, slots=True)
class GatewayUnderTest:
    settings: Settings
    url: str
    client: httpx.AsyncClient
    tokens: TokenMaker
    security: Security

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def raw(self, data: bytes) -> bytes:
        """Send these bytes on a connection of their own, and give one whole answer to them."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(5.0):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                return head + await reader.readexactly(int(length[1]) if length else 0)
        finally:
            writer.transport.abort()

    async def metric(self, line_start: str) -> float:
        """The value of a metric, by how its line begins; 0 where it is not there."""
        text = (await self.client.get("/actuator/prometheus")).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(line_start))


@asynccontextmanager
async def running_gateway(
    tokens: TokenMaker,
    routes: list[dict[str, Any]],
    *,
    registry: FakeRegistry | None = None,
    **settings: Any,
) -> AsyncIterator[GatewayUnderTest]:
    """A gateway with these routes (as a config file has them) and settings; ready, with the registry read."""
    known = Settings(
        routes=[Route.model_validate(route) for route in routes],
        jwks_url=tokens.jwks_url,
        discovery_url=f"{registry.url}/eureka" if registry else "",
        discovery_poll_seconds=0.05,
        **{"rate_per_second": 0.0} | settings,
    )
    app = create_app(known)
    async with (
        running(app, **SERVER_OPTIONS) as url,
        httpx.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=10.0) as client,
    ):

        async def is_ready() -> bool:
            return (await client.get("/actuator/health/readiness")).status_code == 200

        await until(is_ready)
        yield GatewayUnderTest(known, url, client, tokens, app.security)

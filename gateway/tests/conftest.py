"""Who signs tokens, an upstream that echoes, and a gateway in front of it, for all tests that change none of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from chassis.testing.tokens import TokenMaker, published_keys
from support.gateways import GatewayUnderTest, running_gateway
from support.registry import FakeRegistry, fake_registry
from support.upstreams import Echo, echo

pytest_plugins = ["chassis.testing.infra"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tokens() -> AsyncIterator[TokenMaker]:
    async with published_keys() as maker:
        yield maker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[Echo]:
    async with echo("order-service") as upstream:
        yield upstream


@pytest_asyncio.fixture(loop_scope="session")
async def registry() -> AsyncIterator[FakeRegistry]:
    """An empty registry for one test."""
    async with fake_registry() as registry:
        yield registry


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(tokens: TokenMaker, upstream: Echo) -> AsyncIterator[GatewayUnderTest]:
    """A gateway with a route of each kind to the echo, registered as order-service and config-server."""
    async with fake_registry() as known:
        known.ports = {name: [upstream.port] for name in ("order-service", "config-server", "gateway")}
        routes: list[dict[str, Any]] = [
            {"id": "orders", "prefix": "/api/v1/orders", "uri": "lb://order-service"},
            {
                "id": "catalogue",
                "prefix": "/api/v1/catalogue",
                "uri": "lb://order-service",
                "rules": [{"methods": ["GET"], "path": "/api/v1/catalogue/*", "access": "public"}],
            },
            {"id": "open", "prefix": "/open", "uri": upstream.url, "access": "public"},
            {"id": "cut", "prefix": "/cut/off", "uri": upstream.url, "strip-prefix": True, "access": "public"},
            {"id": "admin", "prefix": "/admin", "uri": upstream.url, "access": "admin"},
            {"id": "lost", "prefix": "/lost", "uri": "lb://lost-service", "access": "public"},
        ]
        async with running_gateway(tokens, routes, registry=known, body_limit_bytes=5_000_000) as gateway:
            yield gateway

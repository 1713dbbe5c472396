"""The gateway, put together: its own few endpoints are FastAPI's, everything else goes through the proxy."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from chassis.discovery import Registry
from chassis.health import Health
from chassis.kafka import Kafka
from chassis.published_keys import published_at
from chassis.revocations import RevocationListener
from chassis.security import KeySet, Security
from chassis.supervisor import Supervisor
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from .balancer import Balancer
from .docs import MergedDocs, docs_routes
from .proxy import Proxy
from .routes import RouteTable
from .server import GatewayProtocol
from .settings import Settings
from .upstream import UpstreamTransport
from .visits import Visits

# How uvicorn has to serve this app.
SERVER_OPTIONS: dict[str, Any] = {
    "http": GatewayProtocol,
    "ws": "none",
    # It would believe X-Forwarded-For from 127.0.0.1, and with it whoever sends one from there.
    "proxy_headers": False,
}


def create_app(settings: Settings) -> "Gateway":
    registry = Registry(settings) if settings.discovery_url else None
    security = Security(
        KeySet(published_at(settings, registry)), issuer=settings.token_issuer, audience=settings.token_audience
    )
    table = current_table(settings)
    kafka = Kafka(settings)
    transport, visits, supervisor = UpstreamTransport(settings), Visits(), Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        supervisor.start("connections", transport.run)
        supervisor.start("visits", visits.run)
        supervisor.start("keys", security.keys.fetch_first)
        if registry is not None:
            supervisor.start("registry", registry.run)
        if settings.kafka_bootstrap:
            # Readiness does not wait for it: without Kafka, an ended session's token lives until it runs out.
            supervisor.start("revocations", RevocationListener(settings, kafka, security.revoked).run)
        try:
            yield
        finally:
            await supervisor.stop()
            await transport.aclose()
            await kafka.aclose()

    own = FastAPI(
        title="gateway",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_SECOND_TELEMETRY,
    )
    add_service_defaults(own, settings, health=_health(registry, supervisor), security=security)
    own.include_router(docs_routes(MergedDocs(settings, table, registry)))
    proxy = Proxy(
        settings,
        table=table,
        balancer=Balancer(registry, settings),
        security=security,
        transport=transport,
        visits=visits,
    )
    return Gateway(own, proxy, security)


class Gateway:
    """Decides by the path alone who answers: the gateway itself, or somebody behind it."""

    def __init__(self, own: ASGIApp, proxy: ASGIApp, security: Security) -> None:
        self.security = security
        self._own = own
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_own = scope["type"] != "http" or is_own_path(scope["path"])
        await (self._own if is_own else self._proxy)(scope, receive, send)


def is_own_path(path: str) -> bool:
    return path.startswith(("/actuator/", "/docs/")) or path in ("/actuator", "/docs", "/openapi.json")


def current_table(settings: Settings) -> Callable[[], RouteTable]:
    """The route table as the settings have it now; a refresh that changes them makes a new one, whole."""
    seen: tuple[Any, Any] = (None, None)
    table = RouteTable([])

    def current() -> RouteTable:
        nonlocal seen, table
        routes, admin_only = settings.routes, settings.admin_only_services
        if routes is not seen[0] or admin_only is not seen[1]:
            table = RouteTable(routes, admin_only_services=admin_only, own_name=settings.service_name)
            seen = (routes, admin_only)
        return table

    return current


def _health(registry: Registry | None, supervisor: Supervisor) -> Health:
    health = Health()

    health.live_while("tasks", supervisor.check)
    if registry is not None:

        async def discovery_was_read() -> str | None:
            # Once is enough: without discovery the gateway goes on with what it knew last (D7).
            return None if await registry.wait_until_read(0.0) else "discovery has not been read yet"

        health.ready_while("discovery", discovery_was_read)
    return health

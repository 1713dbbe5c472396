"""The discovery-server put together: settings, registry, sweeper, Eureka's REST, the page."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis.health import Health
from chassis.supervisor import Supervisor
from chassis.web import add_service_defaults
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from .access import Access
from .api import EurekaApi
from .errors import EmptyErrors
from .page import write_page
from .registry import Clock, Registry
from .settings import DiscoverySettings
from .sweeper import sweep_for_ever

logger = logging.getLogger(__name__)


def create_app(settings: DiscoverySettings, clock: Clock | None = None) -> FastAPI:
    """The whole server; it has to be started (ASGI lifespan) for leases to run out."""
    registry = Registry(
        clock or Clock(),
        preservation=settings.preservation,
        delta_retention_seconds=settings.delta_retention_seconds,
    )
    if settings.anonymous:
        logger.warning("anybody may register here, under any name: DISCOVERY_SERVER_ANONYMOUS is true")
    access = Access(settings.credentials, anonymous=settings.anonymous)
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        supervisor.start("sweeper", partial(sweep_for_ever, registry, pause_seconds=settings.sweep_seconds))
        yield
        await supervisor.stop()

    app = FastAPI(title="discovery-server", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.registry = registry
    add_service_defaults(app, settings, health=_health(supervisor))
    app.add_middleware(EmptyErrors)
    app.mount("/eureka", EurekaApi(registry, access))

    @app.get("/", response_class=HTMLResponse)
    async def show_page(request: Request) -> str:
        access.require_any(request.headers.get("authorization"))
        return write_page(registry)

    return app


def _health(supervisor: Supervisor) -> Health:
    health = Health()
    health.live_while("sweeper", supervisor.check)
    return health

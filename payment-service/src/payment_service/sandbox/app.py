"""The sandbox provider, put together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.health import Health
from chassis.supervisor import Supervisor
from chassis.web import add_service_defaults
from fastapi import FastAPI

from .api import router
from .settings import Settings
from .store import SandboxStore
from .webhooks import Webhooks


def create_app(settings: Settings) -> FastAPI:
    # A dropped answer is what the sandbox is for; uvicorn takes it for a fault of ours.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "without completing response" not in record.getMessage()
    )
    store = SandboxStore(settings.folder)
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        supervisor.start("webhooks", Webhooks(store, settings).run)
        yield
        await supervisor.stop()
        store.close()

    app = FastAPI(title="payment-sandbox", summary="A payment provider to develop and test with", lifespan=lifespan)
    add_service_defaults(app, settings, health=Health())
    app.state.store = store
    app.include_router(router)
    return app

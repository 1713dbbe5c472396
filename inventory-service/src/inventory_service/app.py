"""Inventory-service, put together."""

from chassis.parts import Parts
from chassis.reactions import Reactions
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from .api import router
from .events import SAID
from .expiry import ExpiryTimer
from .reactions import REACTIONS
from .service import InventoryService
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    parts = Parts(settings, package="inventory_service", says=SAID)
    inventory = InventoryService(parts.database, settings)
    parts.hear(Reactions(inventory, REACTIONS, preload=inventory.preload))
    parts.run("expiry", ExpiryTimer(inventory, settings).run)

    app = FastAPI(
        title="inventory-service",
        summary="Products, stock, reservations",
        lifespan=parts.lifespan,
        telemetry=NO_SECOND_TELEMETRY,
    )
    add_service_defaults(app, settings, health=parts.health, security=parts.security)
    app.state.inventory = inventory
    app.include_router(router)
    return app

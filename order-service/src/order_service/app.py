"""Order-service, put together."""

from chassis.parts import Parts
from chassis.reactions import Reactions
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from .api import router
from .deadlines import DeadlineTimer
from .events import SAID
from .reactions import REACTIONS
from .service import OrderService
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    parts = Parts(settings, package="order_service", says=SAID)
    orders = OrderService(parts.database, settings)
    parts.hear(Reactions(orders, REACTIONS, preload=orders.preload, witness=orders.witness))
    parts.run("deadlines", DeadlineTimer(orders, settings).run)

    app = FastAPI(
        title="order-service",
        summary="Orders: placing, tracking, fulfilment",
        lifespan=parts.lifespan,
        telemetry=NO_SECOND_TELEMETRY,
    )
    add_service_defaults(app, settings, health=parts.health, security=parts.security)
    app.state.orders = orders
    app.include_router(router)
    return app

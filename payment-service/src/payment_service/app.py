"""Payment-service, put together."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from chassis.parts import Parts
from chassis.reactions import Reactions
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from .api import router
from .charger import Charger
from .events import SAID
from .provider import PaymentProvider
from .reactions import REACTIONS
from .refunder import Refunder
from .sandbox_provider import SandboxProvider
from .service import PaymentService
from .settings import Settings


def create_app(settings: Settings, provider: PaymentProvider | None = None) -> FastAPI:
    parts = Parts(settings, package="payment_service", says=SAID)
    provider = provider or SandboxProvider(settings)
    payments = PaymentService(parts.database, settings, provider_name=provider.name)
    parts.hear(Reactions(payments, REACTIONS, preload=payments.preload))
    parts.run("charger", Charger(payments, provider, settings).run)
    parts.run("refunder", Refunder(payments, provider, settings).run)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(provider), parts.lifespan(app) as state:
            yield state

    app = FastAPI(
        title="payment-service",
        summary="Charges, refunds, provider webhooks",
        lifespan=lifespan,
        telemetry=NO_SECOND_TELEMETRY,
    )
    add_service_defaults(app, settings, health=parts.health, security=parts.security)
    app.state.payments = payments
    app.state.provider = provider
    app.include_router(router)
    return app

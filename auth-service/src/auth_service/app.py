"""Auth-service, put together."""

from chassis.parts import Parts
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from .api import public_keys, router
from .events import SAID
from .keys import Keys
from .service import AuthService
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    parts = Parts(settings, package="auth_service", says=SAID, fetch_keys=lambda: keys.published())
    keys = Keys(parts.database, settings)
    auth = AuthService(parts.database, settings, keys, parts.security.revoked)
    parts.prepare(keys.rotate)
    parts.prepare(auth.ensure_admin)
    parts.run("key-rotation", keys.run)

    app = FastAPI(
        title="auth-service",
        summary="Accounts, sessions, JWT and JWKS",
        lifespan=parts.lifespan,
        telemetry=NO_SECOND_TELEMETRY,
    )
    add_service_defaults(app, settings, health=parts.health, security=parts.security)
    app.state.auth = auth
    app.state.keys = keys
    app.include_router(router)
    app.include_router(public_keys)
    return app

"""The endpoints under /actuator that operators and probes ask: health, info, metrics, settings, log levels, refresh."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, SecretStr

from .config_client import ConfigClient, ConfigUnavailable
from .health import Health
from .logs import set_level
from .problems import NotAuthenticated, Problem
from .refresh_calls import HEADER, is_signed_refresh
from .security import current_caller, require_admin
from .settings import ServiceSettings, SettingsInvalid

logger = logging.getLogger(__name__)

_STARTED = time.time()


class NewLevel(BaseModel):
    configuredLevel: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]  # noqa: N815 - the field's name in Spring Boot's loggers endpoint


class ConfigNotReadable(Problem):
    status = 503
    code = "config-not-readable"
    title = "The configuration could not be read anew"


def actuator_routes(settings: ServiceSettings, health: Health, *, admin: bool) -> APIRouter:
    """The routes of /actuator; the ones for admins only where tokens can be checked."""
    router = APIRouter(prefix="/actuator", include_in_schema=False)

    @router.get("/health")
    async def show_health(response: Response) -> dict[str, Any]:
        return _answer(response, *await health.everything())

    @router.get("/health/liveness")
    async def show_liveness(response: Response) -> dict[str, Any]:
        return _answer(response, *await health.liveness())

    @router.get("/health/readiness")
    async def show_readiness(response: Response) -> dict[str, Any]:
        return _answer(response, *await health.readiness())

    @router.get("/info")
    async def show_info() -> dict[str, Any]:
        return {
            "app": {
                "name": settings.service_name,
                "version": settings.package_version or "unknown",
                "profile": settings.profile,
            },
            "process": {"pid": os.getpid(), "uptime_seconds": round(time.time() - _STARTED, 3)},
        }

    @router.get("/prometheus")
    async def show_metrics(request: Request) -> Response:
        # Exemplars need OpenMetrics, so the format is negotiated.
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), media_type=content_type)

    if admin:
        router.include_router(_admin_routes(settings))
    if admin or settings.refresh_secret.get_secret_value():

        @router.post("/refresh", dependencies=[Depends(_whoever_may_refresh(settings, admin=admin))])
        async def refresh() -> dict[str, list[str]]:
            try:
                return await asyncio.to_thread(refresh_settings, settings)
            except (ConfigUnavailable, SettingsInvalid) as error:
                logger.warning("the configuration stays as it is: %s", error)
                raise ConfigNotReadable(str(error)) from error

    return router


def _whoever_may_refresh(settings: ServiceSettings, *, admin: bool) -> Callable[[Request], Awaitable[None]]:
    """Whoever signs with REFRESH_SECRET, which the config-server does, and admins where tokens can be checked."""

    async def check(request: Request) -> None:
        signature = request.headers.get(HEADER)
        if signature is not None or not admin:
            if not is_signed_refresh(
                signature or "", settings.refresh_secret.get_secret_value(), settings.service_name
            ):
                raise NotAuthenticated(
                    f"{HEADER} is missing, or not made with our REFRESH_SECRET, or older than 5 min."
                )
            return
        await require_admin(await current_caller(request))

    return check


def _admin_routes(settings: ServiceSettings) -> APIRouter:
    router = APIRouter(dependencies=[Depends(require_admin)])

    @router.get("/env")
    async def show_settings() -> dict[str, Any]:
        return {
            type(settings).variable_of(name): "******" if isinstance(value, SecretStr) else value
            for name, value in settings
        }

    @router.get("/loggers")
    async def show_loggers() -> dict[str, Any]:
        names = ["root", *sorted(logging.root.manager.loggerDict)]
        return {"loggers": {name: _levels(name) for name in names}}

    @router.post("/loggers/{name}", status_code=204)
    async def change_level(name: str, body: NewLevel) -> None:
        set_level(name, body.configuredLevel)

    return router


def refresh_settings(settings: ServiceSettings) -> dict[str, list[str]]:
    """Read the configuration anew and apply what may change while running.

    Answers the variables that `changed`, and those that `wait_for_restart`.
    Raises ConfigUnavailable or SettingsInvalid, and then nothing has changed.
    """
    source = ConfigClient.from_environment(settings.service_name, os.environ)
    fresh = type(settings).of(source.fetch() if source else {})
    answer: dict[str, list[str]] = {"changed": [], "wait_for_restart": []}
    for name, field in type(settings).model_fields.items():
        new = getattr(fresh, name)
        if name == "port" or new == getattr(settings, name):  # the port of 0 became a real one at start
            continue
        extra = field.json_schema_extra
        applies = isinstance(extra, dict) and bool(extra.get("refreshable"))
        if applies:
            setattr(settings, name, new)
        answer["changed" if applies else "wait_for_restart"].append(type(settings).variable_of(name))
    set_level("root", settings.log_level)
    if answer["changed"] or answer["wait_for_restart"]:
        logger.log(
            logging.WARNING if answer["wait_for_restart"] else logging.INFO,
            "the configuration was read anew: %s changed, %s waits for a restart",
            *(", ".join(answer[part]) or "nothing" for part in ("changed", "wait_for_restart")),
        )
    return answer


def _answer(response: Response, good: bool, document: dict[str, Any]) -> dict[str, Any]:
    response.status_code = 200 if good else 503
    return document


def _levels(name: str) -> dict[str, str | None]:
    named = logging.getLogger(None if name == "root" else name)
    return {
        "configuredLevel": logging.getLevelName(named.level) if named.level else None,
        "effectiveLevel": logging.getLevelName(named.getEffectiveLevel()),
    }

"""Runs one service as a process: settings, logs, traces, one HTTP port, registered while ready, drained at the end."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

from .discovery import Registration
from .http_protocol import HttpProtocol
from .logs import configure_logging
from .settings import ConfigUnavailable, ServiceSettings, SettingsInvalid
from .supervisor import Supervisor
from .telemetry import configure_tracing

logger = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_KEEP_ALIVE_SECONDS = 65  # above what the gateway keeps, so that it is the one to close (no stale connection races)
_DRAIN_SECONDS = 10

# What a development fleet uses; a service in profile prod refuses to start with one of them.
DEVELOPMENT_SECRETS = frozenset({"dev", "secret", "password", "changeme", "admin", "postgres"})


def serve(settings_type: type[SettingsT], create_app: Callable[[SettingsT], ASGIApp], **uvicorn_options: Any) -> None:
    """Run until SIGTERM or SIGINT. What keeps it from starting is one sentence on standard error and exit code 1."""
    try:
        settings = settings_type.load()
        _refuse_development_secrets(settings)
        listener = _listen(settings)
        configure_logging(settings)
        configure_tracing(settings)
        app = create_app(settings)
    except (ConfigUnavailable, SettingsInvalid, OSError) as error:
        sys.exit(f"{settings_type.service_name}: {error}")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        **{"http": HttpProtocol, **uvicorn_options},
    )
    server = _RegisteredServer(config, settings)
    # uvicorn raises the signal that stopped it once more when it is done, for whoever handled it before; a stop that
    # was asked for and went well ends with exit code 0.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)  # the reason was logged while starting


class _RegisteredServer(uvicorn.Server):
    """uvicorn, registered with discovery while it serves, and taken out of it before it stops listening."""

    def __init__(self, config: uvicorn.Config, settings: ServiceSettings) -> None:
        super().__init__(config)
        self._settings = settings
        self._supervisor = Supervisor()
        self._registration = Registration(settings) if settings.discovery_url else None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        logger.info(
            "%s listens on http://%s:%d (pid %d)",
            self._settings.service_name,
            self._settings.host,
            self._settings.port,
            os.getpid(),
        )
        if self._registration is not None:
            self._supervisor.start("registration", self._registration.run)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._supervisor.stop()
        if self._registration is not None:
            await self._registration.drain()
        await super().shutdown(sockets)
        if self._registration is not None:
            await self._registration.leave()
        logger.info("%s has stopped", self._settings.service_name)


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP: asyncio switches Nagle's delays (40 ms for each answer) off only where it can see that it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise OSError(
            f"port {settings.port} on {settings.host} can't be listened on: {os.strerror(error.errno or 0)}. "
            "Stop what uses it, or choose another with PORT."
        ) from error
    settings.port = listener.getsockname()[1]
    return listener


def _refuse_development_secrets(settings: ServiceSettings) -> None:
    if settings.profile != "prod":
        return
    for name, value in settings.secrets():
        if value in DEVELOPMENT_SECRETS:
            raise SettingsInvalid(f"{name} is a known development secret, which profile prod refuses.")

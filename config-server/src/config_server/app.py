"""Put together: settings, then the repository, then the service, then the routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis.health import Health
from chassis.supervisor import Supervisor
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from . import api, encryption_api, explain_api, flat_api, monitor, resource_api
from .access import Access
from .audit import Audit
from .changes import Changes, Watched
from .choosing import Choice, Configurations
from .errors import RepositoryUnusable, answer_like_spring
from .fast_answers import FastAnswers
from .overrides import override_sources
from .repositories import Repositories
from .serving import ConfigurationService
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The server over the repository of the settings. Raises SettingsInvalid if there is none."""
    repositories = Repositories(settings)
    key_ring = settings.key_ring()
    overrides = override_sources(settings.overrides)
    services = {
        repository.name: ConfigurationService(
            repository.git,
            default_label=repository.settings.git_default_label,
            search_paths=repository.settings.git_search_paths,
            key_ring=key_ring,
            overrides=overrides,
            name=repository.name,
        )
        for repository in repositories.all
    }
    default, *others = (
        Choice(repository.name, services[repository.name], repository.stale_reason, repository.patterns)
        for repository in repositories.all
    )
    changes = Changes(
        settings,
        [
            Watched(
                repository.name,
                services[repository.name],
                repository.git,
                repository.settings.git_default_label,
                None if repository.fetcher is None else repository.fetcher.refresh,
            )
            for repository in repositories.all
        ],
    )
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        repositories.start()
        changes.start(supervisor)
        try:
            yield
        finally:
            repositories.stop()
            await supervisor.stop()
            await changes.aclose()

    app = FastAPI(
        title="config-server",
        summary="Configuration out of Git",
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=NO_SECOND_TELEMETRY,
    )
    app.state.service = Configurations(default, others)
    app.state.key_ring = key_ring
    app.state.audit = Audit()
    app.state.watches = changes.watches
    app.state.gatekeeper = changes.gatekeeper
    app.state.access = Access(settings.readers(), anonymous=settings.anonymous)

    app.add_middleware(FastAnswers)  # the first to be added is the innermost

    health = Health()

    for repository in repositories.all:
        name = "repository" if repository is repositories.default else f"repository {repository.name}"
        health.ready_while(name, partial(_what_is_wrong, services[repository.name]))
        health.describe(name, repository.details)
    health.live_while("tasks", supervisor.check)
    add_service_defaults(app, settings, health=health)
    answer_like_spring(app)
    app.include_router(explain_api.router)
    app.include_router(encryption_api.router)
    app.include_router(monitor.router)
    app.include_router(flat_api.router)
    app.include_router(resource_api.router)
    app.include_router(api.router)
    app.add_middleware(api.CleanPaths)
    return app


async def _what_is_wrong(service: ConfigurationService) -> str | None:
    try:
        return await asyncio.to_thread(service.is_ready)
    except RepositoryUnusable as error:
        return error.detail

"""Put together: settings, then the repository, then the service, then the routes."""

import asyncio

from chassis.health import Health
from chassis.settings import SettingsInvalid
from chassis.web import add_service_defaults
from fastapi import FastAPI

from . import api
from .access import Access
from .errors import RepositoryUnusable, answer_like_spring
from .serving import ConfigurationService
from .settings import Settings
from .sources import GitRepository


def create_app(settings: Settings) -> FastAPI:
    """The server over the repository of the settings. Raises SettingsInvalid if there is none."""
    try:
        repository = GitRepository(settings.git_uri)
    except RepositoryUnusable as error:
        raise SettingsInvalid(f"{error.detail} CONFIG_SERVER_GIT_URI says where it is.") from error
    service = ConfigurationService(
        repository, default_label=settings.git_default_label, search_paths=settings.git_search_paths
    )

    app = FastAPI(title="config-server", summary="Configuration out of Git", redirect_slashes=False)
    app.state.service = service
    app.state.access = Access(settings.credentials, anonymous=settings.anonymous)

    health = Health()

    async def repository_is_readable() -> str | None:
        try:
            return await asyncio.to_thread(service.is_ready)
        except RepositoryUnusable as error:
            return error.detail

    health.ready_while("repository", repository_is_readable)
    add_service_defaults(app, settings, health=health)
    answer_like_spring(app)
    app.include_router(api.router)
    app.add_middleware(api.CleanPaths)
    return app

"""What makes changes reach the services, put together: who notices, who tells, and whose word is taken."""

import logging
from collections.abc import Awaitable, Callable, Collection

from chassis.discovery import Registry
from chassis.supervisor import Supervisor

from .notify import Notifier
from .serving import ConfigurationService
from .settings import Settings
from .sources import GitRepository
from .watch import Watch, notes_of
from .webhooks import Gatekeeper

logger = logging.getLogger(__name__)


class Changes:
    """Made but not started. `fetch` brings what is new from another machine; None: the repository is on this one."""

    def __init__(
        self,
        settings: Settings,
        service: ConfigurationService,
        repository: GitRepository,
        *,
        fetch: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.gatekeeper = Gatekeeper(
            settings.webhook_secret, settings.webhook_secrets, window_seconds=settings.webhook_window_seconds
        )
        self._registry: Registry | None = None
        self._notifier: Notifier | None = None
        secret = settings.refresh_secret.get_secret_value()
        if settings.discovery_url and secret:
            self._registry = Registry(settings)
            self._notifier = Notifier(self._registry, secret, own_name=settings.service_name)
        self.watch = Watch(
            service.default_commit,
            repository.changed_paths,
            self._notifier.tell if self._notifier is not None else _tell_nobody,
            fetch=fetch,
            pause_seconds=settings.watch_seconds,
            notes=notes_of(settings.state_dir, repository.uri, settings.git_default_label) if self._notifier else None,
        )

    def start(self, supervisor: Supervisor) -> None:
        if self._registry is not None and self._notifier is not None:
            supervisor.start("registry", self._registry.run)
            supervisor.start("notifier", self._notifier.run)
        supervisor.start("watch", self.watch.run)

    async def aclose(self) -> None:
        """After the supervisor has stopped."""
        if self._notifier is not None:
            await self._notifier.aclose()


def _tell_nobody(names: Collection[str]) -> Collection[object]:
    logger.info("services are not told of changes: that takes DISCOVERY_URL and REFRESH_SECRET")
    return ()

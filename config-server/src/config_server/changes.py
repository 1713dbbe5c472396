"""What makes changes reach the services, put together: who notices, who tells, and whose word is taken."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.discovery import Registry
from chassis.supervisor import Supervisor

from .notify import Notifier
from .serving import ConfigurationService
from .settings import Settings
from .sources import GitRepository
from .watch import Watch, Watches, notes_of
from .webhooks import Gatekeeper

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A repository with what serves it; `fetch` brings what is new here, where the files are not in Git here."""

    name: str
    service: ConfigurationService
    repository: GitRepository
    default_label: str
    fetch: Callable[[], Awaitable[object]] | None


class Changes:
    """Made but not started. The first of those who are watched is the default repository."""

    def __init__(self, settings: Settings, watched: Sequence[Watched]) -> None:
        self.gatekeeper = Gatekeeper(
            settings.webhook_secret, settings.webhook_secrets, window_seconds=settings.webhook_window_seconds
        )
        self._registry: Registry | None = None
        self._notifier: Notifier | None = None
        secret = settings.refresh_secret.get_secret_value()
        if settings.discovery_url and secret:
            self._registry = Registry(settings)
            self._notifier = Notifier(self._registry, secret, own_name=settings.service_name)
        tell = self._notifier.tell if self._notifier is not None else _tell_nobody
        self._watches = {
            one.name: Watch(
                one.service.default_commit,
                one.repository.changed_paths,
                tell,
                fetch=one.fetch,
                pause_seconds=settings.watch_seconds,
                notes=_notes(settings, one, watched[0]) if self._notifier else None,
            )
            for one in watched
        }
        self.watches = Watches(list(self._watches.values()))

    def start(self, supervisor: Supervisor) -> None:
        if self._registry is not None and self._notifier is not None:
            supervisor.start("registry", self._registry.run)
            supervisor.start("notifier", self._notifier.run)
        for name, watch in self._watches.items():
            supervisor.start(f"watch of {name}", watch.run)

    async def aclose(self) -> None:
        """After the supervisor has stopped."""
        if self._notifier is not None:
            await self._notifier.aclose()


def _notes(settings: Settings, one: Watched, default: Watched) -> Path:
    # Several may have one address, and differ in their search paths.
    label = one.default_label if one is default else f"{one.default_label} {one.name}"
    return notes_of(settings.state_dir, one.repository.uri, label)


def _tell_nobody(names: Collection[str]) -> Collection[object]:
    logger.info("services are not told of changes: that takes DISCOVERY_URL and REFRESH_SECRET")
    return ()

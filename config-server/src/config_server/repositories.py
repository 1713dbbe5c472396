"""The repository of the settings: opened where it is on this machine, kept as a clone where it is on another."""

from collections.abc import Mapping
from typing import Any

from chassis.settings import SettingsInvalid

from .clones import Clone
from .errors import RepositoryUnusable
from .fetching import Fetcher
from .remotes import prepare_git
from .settings import Settings
from .sources import GitRepository


class Repositories:
    """Opened, but not fetched before `start`. Raises SettingsInvalid for what can't be opened."""

    def __init__(self, settings: Settings) -> None:
        remote = settings.remote()
        self._fetcher: Fetcher | None = None
        state = settings.state_dir / settings.service_name
        try:
            if remote is not None:
                prepare_git(
                    timeout_seconds=settings.git_timeout_seconds,
                    state=state,
                    known_hosts_file=settings.git_known_hosts_file,
                    ca_file=settings.git_ca_file,
                )
                self._fetcher = Fetcher(
                    "default",
                    Clone(remote, state / "clones"),
                    interval_seconds=settings.git_fetch_seconds,
                    stale_after_seconds=settings.git_stale_after_seconds,
                )
            self.default = GitRepository(settings.git_uri, self._fetcher)
        except RepositoryUnusable as error:
            raise SettingsInvalid(f"{error.detail} CONFIG_SERVER_GIT_URI says where it is.") from error
        except OSError as error:
            raise SettingsInvalid(f"STATE_DIR: clones can't be kept in {state}: {error.strerror or error}.") from error

    @property
    def is_fetched(self) -> bool:
        """Whether it is on another machine."""
        return self._fetcher is not None

    def start(self) -> None:
        if self._fetcher is not None:
            self._fetcher.start()

    def stop(self) -> None:
        if self._fetcher is not None:
            self._fetcher.stop()

    async def refresh(self) -> None:
        """Fetch what has been pushed. Raises FetchFailed."""
        if self._fetcher is not None:
            await self._fetcher.refresh()

    def stale_reason(self) -> str | None:
        """Why answers may be out of date, if they may."""
        return None if self._fetcher is None else self._fetcher.stale_reason()

    def details(self) -> Mapping[str, Any]:
        """What /actuator/health tells."""
        return {"uri": self.default.uri} if self._fetcher is None else self._fetcher.details()

"""The repositories of the settings: opened where they are, or kept as clones of others, or of a plain folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.settings import SettingsInvalid

from .clones import Clone, Source
from .errors import RepositoryUnusable
from .fetching import Fetcher
from .folders import Folder
from .remotes import prepare_git
from .repository_settings import DEFAULT
from .settings import Settings
from .sources import GitRepository


@dataclass(frozen=True, slots=True)
class Repository:
    """One of them, with the settings that it has; `fetcher` brings the files here where they are not in Git here."""

    name: str
    patterns: Sequence[str]
    settings: Settings
    git: GitRepository
    fetcher: Fetcher | None

    def stale_reason(self) -> str | None:
        """Why what it has may be out of date, if it may."""
        return None if self.fetcher is None else self.fetcher.stale_reason()

    def details(self) -> Mapping[str, Any]:
        """What /actuator/health tells."""
        return {"uri": self.git.uri} if self.fetcher is None else self.fetcher.details()


class Repositories:
    """Opened, but not fetched before `start`. Raises SettingsInvalid for what can't be opened."""

    def __init__(self, settings: Settings) -> None:
        state = settings.state_dir / settings.service_name
        try:
            prepare_git(
                timeout_seconds=settings.git_timeout_seconds,
                state=state,
                known_hosts_file=settings.git_known_hosts_file,
                ca_file=settings.git_ca_file,
            )
        except OSError as error:
            raise SettingsInvalid(f"STATE_DIR: {state} can't be written: {error.strerror or error}.") from error
        self.default = _open(DEFAULT, settings, state / "clones")
        self.others = [
            _open(name, settings.of_repository(name), state / "clones-of" / name, own.pattern)
            for name, own in settings.git_repositories.items()
        ]

    @property
    def all(self) -> list[Repository]:
        """In the order of the settings; the default one is the first."""
        return [self.default, *self.others]

    def start(self) -> None:
        for repository in self.all:
            if repository.fetcher is not None:
                repository.fetcher.start()

    def stop(self) -> None:
        for repository in self.all:
            if repository.fetcher is not None:
                repository.fetcher.stop()


def _open(name: str, settings: Settings, clones: Path, patterns: Sequence[str] = ()) -> Repository:
    variable = "CONFIG_SERVER_GIT_URI" if name == DEFAULT else f"CONFIG_SERVER_GIT_REPOSITORIES, {name},"
    try:
        fetcher = _fetcher(name, settings, clones)
        uri = settings.git_uri if settings.folder is None else f"file:{settings.folder}"
        return Repository(name, patterns, settings, GitRepository(uri, fetcher), fetcher)
    except RepositoryUnusable as error:
        raise SettingsInvalid(f"{error.detail} {variable} says where it is.") from error
    except OSError as error:
        raise SettingsInvalid(f"STATE_DIR: clones can't be kept in {clones}: {error.strerror or error}.") from error


def _fetcher(name: str, settings: Settings, clones: Path) -> Fetcher | None:
    remote = settings.remote()
    source: Source
    if settings.folder is not None:
        source, interval_seconds = Folder(settings.folder, label=settings.git_default_label), settings.watch_seconds
    elif remote is not None:
        source, interval_seconds = remote, settings.git_fetch_seconds
    else:
        return None
    return Fetcher(
        name,
        Clone(source, clones),
        interval_seconds=interval_seconds,
        stale_after_seconds=settings.git_stale_after_seconds,
    )

"""What is in a configuration repository: its files, and the applications and profiles that these are for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from .errors import RepositoryUnusable
from .precedence import DEFAULT_PROFILE, EXTENSIONS, SHARED_NAME, is_profile, search_locations
from .sources import GitRepository, LabelUnknown, Snapshot

_ANYTHING = "*"


class NothingToCheck(Exception):
    """There is nothing that could be read at a path; the message says why."""


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A file that counts for an application: `order-service-prod.yml`."""

    path: str
    application: str
    profile: str | None


@contextmanager
def opened(path: Path, label: str | None) -> Iterator[tuple[Snapshot, list[str]]]:
    """The files of a folder as they lie there, or of a Git repository at a label; and the links that were left out.

    A bare repository has no other files than its commits'; there `main` is read where no label is asked for.
    Raises NothingToCheck.
    """
    if not path.is_dir():
        raise NothingToCheck(f"there is no folder {path}")
    if label is None and not _is_bare(path):
        with TemporaryDirectory() as workshop:
            repository = pygit2.init_repository(workshop, bare=True)
            links: list[str] = []
            tree = repository[_stored(repository, path, "", links)].peel(pygit2.Tree)
            yield Snapshot(repository, tree, RepositoryUnusable), links
        return
    try:
        source = GitRepository(str(path))
        snapshot = source.at(source.commit_of(label or "main"))
    except RepositoryUnusable as error:
        raise NothingToCheck(error.detail) from error
    except LabelUnknown as error:
        raise NothingToCheck(f"{path} has no branch, tag or commit {error}") from error
    yield snapshot, []


def configuration_files(
    snapshot: Snapshot, *, search_paths: Sequence[str], label: str, known: Sequence[str]
) -> list[ConfigurationFile]:
    """The files that the server looks for, whoever asks. `known`: applications that are told of elsewhere."""
    folders = _folders(snapshot, search_paths, label)
    stems = {folder: list(_stems(snapshot, folder)) for folder in folders}
    applications = {SHARED_NAME, *known, *(name for name in folders.values() if name)}
    every_stem = sorted({stem for found in stems.values() for stem, _path in found}, key=len)
    for stem in every_stem:  # the shorter first: `order-service-prod` is `order-service` in profile `prod`
        if _parted(stem, applications) is None:
            applications.add(stem)
    return [
        ConfigurationFile(path, *(_parted(stem, applications) or (stem, None)))
        for found in stems.values()
        for stem, path in found
    ]


def _is_bare(path: Path) -> bool:
    try:
        return pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH).is_bare
    except pygit2.GitError:
        return False


def _stored(repository: pygit2.Repository, folder: Path, above: str, links: list[str]) -> pygit2.Oid:
    """A folder as a Git tree, without what is hidden; links are named and left out, since the server follows none."""
    builder = repository.TreeBuilder()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_symlink():
            links.append(f"{above}{path.name}")
        elif path.is_dir():
            builder.insert(path.name, _stored(repository, path, f"{above}{path.name}/", links), FileMode.TREE)
        elif path.is_file():
            builder.insert(path.name, repository.create_blob(path.read_bytes()), FileMode.BLOB)
    return builder.write()


def _folders(snapshot: Snapshot, search_paths: Sequence[str], label: str) -> dict[str, str | None]:
    """The folders that are searched for anybody, each with the application that it is for, if a path says so."""
    patterns = search_locations(search_paths, applications=[_ANYTHING], profiles=[_ANYTHING], label=label)
    folders: dict[str, str | None] = {folder: None for pattern in patterns for folder in snapshot.folders(pattern)}
    for path in search_paths:
        if "{application}" not in path:
            continue
        named = re.escape(f"{path.strip('/')}/".replace("{label}", label))
        named = named.replace(re.escape("{application}"), "(?P<application>[^/]+)", 1)
        for wildcard in ("{application}", "{profile}", "*"):
            named = named.replace(re.escape(wildcard), "[^/]+")
        for folder in folders:
            if match := re.fullmatch(named.replace(re.escape("?"), "[^/]"), folder):
                folders[folder] = match["application"]
    return folders


def _stems(snapshot: Snapshot, folder: str) -> Iterator[tuple[str, str]]:
    for name in snapshot.names(folder):
        stem, dot, extension = name.rpartition(".")
        if stem and f"{dot}{extension}" in EXTENSIONS:
            yield stem, f"{folder}{name}"


def _parted(stem: str, applications: set[str]) -> tuple[str, str | None] | None:
    """A file's application and profile, of all the applications that it could be for the one with the longest name."""
    if stem in applications:
        return stem, None
    for border in reversed([match.start() for match in re.finditer("-", stem)]):
        profile = stem[border + 1 :]
        if stem[:border] in applications and is_profile(profile):
            return stem[:border], None if profile == DEFAULT_PROFILE else profile
    return None

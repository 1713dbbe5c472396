"""The copy of a remote repository on this disk: bare, brought up to date in one step, and made anew when damaged."""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pygit2
from pygit2.enums import RepositoryOpenFlag

from .errors import FetchFailed
from .remotes import FETCHED

logger = logging.getLogger(__name__)

_GENERATION = re.compile(r"(\d+)\.git")
_LABELS = ("refs/heads/", "refs/tags/")
# Each fetch that brings something leaves a pack; a new clone has one.
_MOST_PACKS = 100


class Source(Protocol):
    """Where a clone gets its objects from."""

    @property
    def uri(self) -> str: ...

    def bring(self, repository: pygit2.Repository) -> Mapping[str, str]:
        """See Remote.bring."""


class Clone:
    """A folder with one generation of the clone after the other (`1.git`, `2.git`); the newest is the one served.

    Its methods are for one thread at a time; `path` is for all. Several processes may share the folder.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder / hashlib.sha256(source.uri.encode()).hexdigest()[:16]
        self._suspected = True  # a crash may have torn what was there before this process
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise NotADirectoryError(f"The folder {folder} for clones can't be made: {error.strerror}.") from error
        self.path = self._newest()

    @property
    def uri(self) -> str:
        return self._source.uri

    def suspect(self) -> None:
        """Have the next `update` look whether the clone is whole."""
        self._suspected = True

    def fetched_at(self) -> float | None:
        """When it was known to be up to date last (seconds of the epoch), be it by a process before this one."""
        if self.path is None:
            return None
        try:
            return (self.path / "flotilla-fetched").stat().st_mtime
        except OSError:
            return None

    def update(self) -> list[str]:
        """Bring it up to date, and answer which branches and tags moved, came or went.

        A clone that is missing, damaged or in a hundred pieces is made anew beside, and swapped. Raises FetchFailed.
        """
        try:
            with self._alone():
                self._sweep()
                current = self._open()
                if current is None or self._has_grown_old():
                    return self._replace()
                try:
                    return self._advance(current)
                except FetchFailed:
                    # The remote may be at fault, or what is here.
                    if _is_whole(current):
                        raise
                except (pygit2.GitError, KeyError, ValueError) as error:
                    logger.error("the clone of %s can't be brought up to date, and is made anew: %s", self.uri, error)
                return self._replace()
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            self._suspected = True
            raise FetchFailed(f"The clone of {self.uri} can't be written: {error}.") from error

    def _advance(self, repository: pygit2.Repository) -> list[str]:
        _clear(repository)
        moved = _move_labels(repository, self._source.bring(repository))
        _clear(repository)
        self._note_success(Path(repository.path))
        return moved

    def _replace(self) -> list[str]:
        """Clone beside, and swap. The old one stays for the readers that are in it, until the next update."""
        made = Path(tempfile.mkdtemp(dir=self._folder, prefix="new-"))
        try:
            repository = pygit2.init_repository(str(made), bare=True)
            moved = _move_labels(repository, self._source.bring(repository))
            _clear(repository)
            self._note_success(made)
            number = max((number for number, _ in self._generations()), default=0) + 1
            whole = self._folder / f"{number}.git"
            made.rename(whole)
            _sync_folder(self._folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        logger.info("%s has been cloned into %s", self.uri, whole)
        self.path = whole
        self._suspected = False
        return moved

    def _open(self) -> pygit2.Repository | None:
        """The clone, if there is one and it is whole."""
        self.path = self._newest()
        if self.path is None:
            return None
        repository = _open(self.path)
        if repository is not None and self._suspected and not _is_whole(repository):
            repository = None
        if repository is None:
            logger.error("the clone %s of %s is damaged, and is made anew", self.path, self.uri)
        else:
            self._suspected = False
        return repository

    def _has_grown_old(self) -> bool:
        assert self.path is not None
        return sum(1 for _ in (self.path / "objects" / "pack").glob("*.pack")) > _MOST_PACKS

    def _generations(self) -> list[tuple[int, Path]]:
        found = ((_GENERATION.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(matched[1]), path) for matched, path in found if matched)

    def _newest(self) -> Path | None:
        generations = self._generations()
        return generations[-1][1] if generations else None

    def _sweep(self) -> None:
        """Remove older generations and what a crash left half made. A link is removed, never followed."""
        keep = {self._newest(), self._folder / "lock"}
        for path in self._folder.iterdir():
            if path not in keep:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _note_success(self, path: Path) -> None:
        (path / "flotilla-fetched").touch()
        os.utime(path / "flotilla-fetched")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer at a time among the processes; the kernel lets go of the lock when its holder dies."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _open(path: Path) -> pygit2.Repository | None:
    try:
        return pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
    except (pygit2.GitError, KeyError, OSError):
        return None


def _labels(repository: pygit2.Repository) -> dict[str, str]:
    return {
        name: str(repository.lookup_reference(name).target)
        for name in repository.references
        if name.startswith(_LABELS)
    }


def _move_labels(repository: pygit2.Repository, wanted: Mapping[str, str]) -> list[str]:
    """Make the labels what the remote has; the ones that are gone go first, since `a` is in the way of `a/b`."""
    before = _labels(repository)
    for name in before.keys() - wanted.keys():
        repository.references.delete(name)
    for name, target in wanted.items():
        if name == "HEAD":
            if target:
                repository.set_head(target)
        elif before.get(name) != target:
            # The object is there: it has been fetched, or another label had it.
            repository.references.create(name, target, force=True)
    return sorted(name for name in (before.keys() | wanted.keys()) - {"HEAD"} if before.get(name) != wanted.get(name))


def _clear(repository: pygit2.Repository) -> None:
    for name in list(repository.references):
        if name.startswith(FETCHED):
            repository.references.delete(name)


def _is_whole(repository: pygit2.Repository) -> bool:
    """Whether every file of every branch's and tag's newest commit can be read."""
    seen: set[str] = set()
    try:
        for target in _labels(repository).values():
            commit = repository[target].peel(pygit2.Commit)
            _read_all(repository, commit.tree, seen)
    except (KeyError, ValueError, pygit2.GitError):
        return False
    folder = Path(repository.path)
    # A file that is gone can still be read through a handle from before.
    packs = all(index.with_suffix(".pack").exists() for index in (folder / "objects" / "pack").glob("*.idx"))
    return packs and (folder / "HEAD").exists()


def _read_all(repository: pygit2.Repository, tree: pygit2.Tree, seen: set[str]) -> None:
    for entry in tree:
        key = str(entry.id)
        if key in seen:
            continue
        seen.add(key)
        if isinstance(entry, pygit2.Tree):
            _read_all(repository, entry, seen)
        elif isinstance(entry, pygit2.Blob):
            repository.odb.read(entry.id)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        with suppress(OSError):
            os.close(handle)

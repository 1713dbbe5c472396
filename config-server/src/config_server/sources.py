"""Where the files lie: a Git repository, read at one commit straight from its objects, without a work tree."""

import fnmatch
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from .errors import RepositoryUnusable

_COMMIT_ID = re.compile(r"[0-9a-fA-F]{4,40}")
_FILES = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)  # a symbolic link and a submodule are neither

# libgit2 refuses a repository that belongs to another user, since Git runs what its configuration names. Nothing is
# run here, and in a container the mounted repository often belongs to somebody else.
pygit2.settings.owner_validation = False


class LabelUnknown(Exception):
    """No branch, tag or commit has this name."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a snapshot; `blob` is the id of what is in it."""

    path: str
    blob: str


class Kept(Protocol):
    """A clone that is kept somewhere, and may be swapped for another."""

    @property
    def path(self) -> Path | None:
        """Where it is now, if it is there."""

    def suspect(self) -> None:
        """It seems to be damaged."""

    def missing_reason(self) -> str:
        """Why it is not there."""


class GitRepository:
    """A repository on this machine. Each thread has its own handle, so that reads need no lock.

    Raises RepositoryUnusable from whatever it is asked, once the repository is not there any more.
    """

    def __init__(self, uri: str, clone: Kept | None = None) -> None:
        """With a clone its files are read, and named after `uri`; else `uri` says where the repository is."""
        self.uri = uri.rstrip("/")
        self._clone = clone
        self._handles = threading.local()
        if clone is None:
            self._local = local_path(uri)
            self._repository()

    def commit_of(self, label: str) -> str:
        """The commit that a branch, tag or commit id means at this moment. Raises LabelUnknown."""
        repository = self._repository()
        for name in _references(label):
            try:
                return str(repository.lookup_reference(name).peel(pygit2.Commit).id)
            except (KeyError, ValueError, pygit2.GitError):  # not there; not a name a reference can have; no commit
                continue
        if _COMMIT_ID.fullmatch(label):
            try:
                return str(repository[label].peel(pygit2.Commit).id)
            except (KeyError, ValueError, pygit2.GitError):  # none, several, or no commit
                pass
        if not (Path(repository.path) / "HEAD").exists():
            del self._handles.repository
            raise self._unusable(f"The Git repository at {repository.path.rstrip('/')} is gone.")
        raise LabelUnknown(label)

    def at(self, commit: str) -> "Snapshot":
        """The files of a commit, for this thread."""
        repository = self._repository()
        try:
            return Snapshot(repository, repository[commit].peel(pygit2.Tree), self._unusable)
        except (KeyError, pygit2.GitError) as error:
            raise self._unusable(f"The commit {commit} can't be read from {repository.path}: {error}") from error

    def changed_at(self, commit: str) -> int:
        """When a commit was made, in seconds since 1970."""
        repository = self._repository()
        try:
            return repository[commit].peel(pygit2.Commit).commit_time
        except (KeyError, pygit2.GitError) as error:
            raise self._unusable(f"The commit {commit} can't be read from {repository.path}: {error}") from error

    def changed_paths(self, old: str, new: str) -> list[str]:
        """The files that differ between two commits, by both names where one was renamed.

        Raises LookupError where a commit is not there, as after a history was rewritten.
        """
        repository = self._repository()
        try:
            trees = [repository[commit].peel(pygit2.Tree) for commit in (old, new)]
            deltas = trees[0].diff_to_tree(trees[1]).deltas
            return list(dict.fromkeys(file.path for delta in deltas for file in (delta.old_file, delta.new_file)))
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise LookupError(f"{old} and {new} can't be compared: {error}") from error

    def _repository(self) -> pygit2.Repository:
        path = self._path()
        known: tuple[Path, pygit2.Repository] | None = getattr(self._handles, "repository", None)
        if known is None or known[0] != path:
            try:
                # Without NO_SEARCH the repository of some folder above would do.
                known = path, pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
            except (pygit2.GitError, KeyError, OSError) as error:
                raise self._unusable(f"There is no Git repository at {path}.") from error
            self._handles.repository = known
        return known[1]

    def _path(self) -> Path:
        if self._clone is None:
            return self._local
        path = self._clone.path
        if path is None:
            raise RepositoryUnusable(self._clone.missing_reason())
        return path

    def _unusable(self, reason: str) -> RepositoryUnusable:
        if self._clone is not None:
            self._clone.suspect()
        return RepositoryUnusable(reason)


class Snapshot:
    """The files of one commit."""

    def __init__(
        self, repository: pygit2.Repository, tree: pygit2.Tree, unusable: Callable[[str], RepositoryUnusable]
    ) -> None:
        self._repository = repository
        self._tree = tree
        self._unusable = unusable

    def find(self, path: str) -> File | None:
        """The regular file at a path, or None; a symbolic link is never followed."""
        try:
            entry = self._tree[path]
        except (KeyError, ValueError):
            return None
        except pygit2.GitError as error:
            raise self._unusable(f"{path} can't be read from the repository: {error}") from error
        return File(path, str(entry.id)) if entry.filemode in _FILES else None

    def read(self, file: File, *, largest_bytes: int) -> bytes | None:
        """What is in a file, or None if it is larger than that."""
        try:
            _kind, size = self._repository.odb.read_header(pygit2.Oid(hex=file.blob))
            if size > largest_bytes:
                return None
            blob = self._repository[file.blob]
        except (KeyError, pygit2.GitError) as error:
            raise self._unusable(f"{file.path} can't be read from the repository: {error}") from error
        assert isinstance(blob, pygit2.Blob)
        return blob.data

    def folders(self, pattern: str) -> list[str]:
        """The folders that a search location means, sorted: itself, or what its `*` and `?` match.

        Locations have a slash at the end.
        """
        if not any(sign in pattern for sign in "*?"):
            return [pattern]
        try:
            return sorted(self._matching(self._tree, pattern.rstrip("/").split("/"), ""))
        except pygit2.GitError as error:
            raise self._unusable(f"The folders {pattern} can't be read from the repository: {error}") from error

    def names(self, folder: str) -> list[str]:
        """The names of the regular files in a folder, which is written with a slash at the end; the root is empty."""
        try:
            tree = self._tree[folder.rstrip("/")] if folder else self._tree
        except KeyError:
            return []
        return [entry.name or "" for entry in tree if entry.filemode in _FILES] if isinstance(tree, pygit2.Tree) else []

    def _matching(self, tree: pygit2.Tree, parts: list[str], above: str) -> Iterator[str]:
        if not parts:
            yield above
            return
        for entry in tree:
            if isinstance(entry, pygit2.Tree) and fnmatch.fnmatchcase(entry.name or "", parts[0]):
                yield from self._matching(entry, parts[1:], f"{above}{entry.name}/")


def local_path(uri: str) -> Path:
    """Where a repository on this machine is: the address is a path or a file:// URL."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise RepositoryUnusable("A file:// address with a host is on another machine: use https, ssh or a path.")
        return Path(unquote(parts.path))
    return Path(uri).expanduser()


def _references(label: str) -> list[str]:
    """The references a label can mean, in order: a branch before a tag, as `git switch` has it."""
    if label == "HEAD" or label.startswith(("refs/heads/", "refs/tags/", "refs/remotes/")):
        return [label]
    names = [f"refs/heads/{label}", f"refs/tags/{label}", f"refs/remotes/origin/{label}"]
    if label.startswith(("heads/", "tags/", "remotes/")):
        names.append(f"refs/{label}")
    if label.startswith("origin/"):
        # In a clone these are what the server has; in the server's own repository they are the branches.
        branch = label.removeprefix("origin/")
        names += [f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"]
    return names

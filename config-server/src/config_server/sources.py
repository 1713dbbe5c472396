"""Where the files lie: a Git repository, read at one commit straight from its objects, without a work tree."""

import fnmatch
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
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


class GitRepository:
    """A repository on this machine. Each thread has its own handle, so that reads need no lock.

    Raises RepositoryUnusable from whatever it is asked, once the repository is not there any more.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._path = _local_path(uri)
        self._handles = threading.local()
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
            raise RepositoryUnusable(f"The Git repository at {self._path} is gone.")
        raise LabelUnknown(label)

    def at(self, commit: str) -> "Snapshot":
        """The files of a commit, for this thread."""
        repository = self._repository()
        try:
            return Snapshot(repository, repository[commit].peel(pygit2.Tree))
        except (KeyError, pygit2.GitError) as error:
            raise RepositoryUnusable(f"The commit {commit} can't be read from {self._path}: {error}") from error

    def _repository(self) -> pygit2.Repository:
        known: pygit2.Repository | None = getattr(self._handles, "repository", None)
        if known is None:
            try:
                # Without NO_SEARCH the repository of some folder above would do.
                known = pygit2.Repository(str(self._path), RepositoryOpenFlag.NO_SEARCH)
            except (pygit2.GitError, KeyError, OSError) as error:
                raise RepositoryUnusable(f"There is no Git repository at {self._path}.") from error
            self._handles.repository = known
        return known


class Snapshot:
    """The files of one commit."""

    def __init__(self, repository: pygit2.Repository, tree: pygit2.Tree) -> None:
        self._repository = repository
        self._tree = tree

    def find(self, path: str) -> File | None:
        """The regular file at a path, or None; a symbolic link is never followed."""
        try:
            entry = self._tree[path]
        except (KeyError, ValueError):
            return None
        except pygit2.GitError as error:
            raise RepositoryUnusable(f"{path} can't be read from the repository: {error}") from error
        return File(path, str(entry.id)) if entry.filemode in _FILES else None

    def read(self, file: File, *, largest_bytes: int) -> bytes | None:
        """What is in a file, or None if it is larger than that."""
        try:
            _kind, size = self._repository.odb.read_header(pygit2.Oid(hex=file.blob))
            if size > largest_bytes:
                return None
            blob = self._repository[file.blob]
        except (KeyError, pygit2.GitError) as error:
            raise RepositoryUnusable(f"{file.path} can't be read from the repository: {error}") from error
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
            raise RepositoryUnusable(f"The folders {pattern} can't be read from the repository: {error}") from error

    def _matching(self, tree: pygit2.Tree, parts: list[str], above: str) -> Iterator[str]:
        if not parts:
            yield above
            return
        for entry in tree:
            if isinstance(entry, pygit2.Tree) and fnmatch.fnmatchcase(entry.name or "", parts[0]):
                yield from self._matching(entry, parts[1:], f"{above}{entry.name}/")


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    # `user@host:path` is how ssh is written without a scheme.
    if parts.scheme in ("http", "https", "ssh", "git", "file") or re.match(r"[^/]+@[^/]+:", uri):
        raise RepositoryUnusable(
            "A Git repository on another machine is not read from here: clone it, and give the path of the clone."
        )
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

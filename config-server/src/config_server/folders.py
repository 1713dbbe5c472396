"""A plain folder as a source of commits: what is in it at a moment in which nobody writes there."""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from .errors import FetchFailed

_AUTHOR = "config-server"
_QUIET_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0
# Two changes within one tick of a file system's clock look alike, and some of these clocks are coarse.
_SETTLED_SECONDS = 2.0
_LARGEST_BYTES = 16 * 1_048_576
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it lies there, without what is in it; another one in its place differs."""

    path: Path
    changed_ns: tuple[int, int]
    size_bytes: int
    inode: int


class Folder:
    """The source of a clone that has one branch, `label`, with a commit for each state of the folder.

    Hidden files and editors' backups are left out. Links are followed as long as they stay in the folder, since that
    is how Kubernetes mounts a ConfigMap.
    """

    def __init__(self, path: Path, *, label: str) -> None:
        self._path = path
        self._branch = f"refs/heads/{label}"
        self._taken: tuple[Mapping[str, _Seen], str] | None = None  # a state, and its commit

    @property
    def uri(self) -> str:
        return f"file:{self._path}"

    def bring(self, repository: pygit2.Repository) -> Mapping[str, str]:
        """Make a commit of what is new, which no label names yet: see Remote.bring. Raises FetchFailed."""
        try:
            return {"HEAD": self._branch, self._branch: self._commit(repository)}
        except (OSError, ValueError, pygit2.GitError) as error:
            raise FetchFailed(f"The folder {self._path} can't be taken as it is: {error}.") from error

    def _commit(self, repository: pygit2.Repository) -> str:
        looked_at = time.time()
        seen = self._look()
        if self._taken is not None and self._taken[0] == seen and self._taken[1] in repository:
            return self._taken[1]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (tree := self._write_tree(repository, seen)) is None:
            if time.monotonic() > deadline:
                raise FetchFailed(f"The folder {self._path} is being written all the time.")
            looked_at = time.time()
            seen = self._look()
        commit = self._commit_of(repository, tree)
        newest = max(max(file.changed_ns) for file in seen.values()) / 1e9
        self._taken = (seen, commit) if abs(looked_at - newest) > _SETTLED_SECONDS else None
        return commit

    def _look(self) -> Mapping[str, _Seen]:
        if not self._path.is_dir():
            raise FetchFailed(f"There is no folder {self._path}.")
        root = self._path.resolve()
        seen: dict[str, _Seen] = {}
        for name, file in _walk(root, root, "", (root,)):
            seen[name] = file
            if len(seen) > _MOST_FILES:
                raise FetchFailed(f"There are more than {_MOST_FILES} files in the folder {self._path}.")
        if not seen:
            # A mount that is gone looks so; to believe it would be to throw away everything.
            raise FetchFailed(f"There are no files in the folder {self._path}.")
        return seen

    def _write_tree(self, repository: pygit2.Repository, seen: Mapping[str, _Seen]) -> pygit2.Oid | None:
        """What was seen, or None where it did not stay so from before it was read until after."""
        time.sleep(_QUIET_SECONDS)  # who is writing now may have written half
        if self._look() != seen:
            return None
        index = pygit2.Index()
        try:
            for name, file in seen.items():
                blob = repository.create_blob(_read(file))
                index.add(pygit2.IndexEntry(name, blob, FileMode.BLOB))
        except FileNotFoundError:
            return None
        return index.write_tree(repository) if self._look() == seen else None

    def _commit_of(self, repository: pygit2.Repository, tree: pygit2.Oid) -> str:
        parents = []
        if self._branch in repository.references:
            tip = repository.lookup_reference(self._branch).peel(pygit2.Commit)
            if tip.tree_id == tree:
                return str(tip.id)
            parents = [tip.id]
        author = pygit2.Signature(_AUTHOR, f"{_AUTHOR}@localhost")
        return str(repository.create_commit(None, author, author, f"Take {self._path}", tree, parents))


def _walk(root: Path, folder: Path, above: str, entered: tuple[Path, ...]) -> Iterator[tuple[str, _Seen]]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        name = above + path.name
        target = path.resolve(strict=True) if path.is_symlink() else path
        if not target.is_relative_to(root):
            raise FetchFailed(f"{name} is a symbolic link that leads out of the folder {root}.")
        status = target.stat()
        if stat.S_ISDIR(status.st_mode):
            if target in entered:
                raise FetchFailed(f"{name} is a symbolic link that leads back to where it is, in the folder {root}.")
            yield from _walk(root, target, f"{name}/", (*entered, target))
        elif not stat.S_ISREG(status.st_mode):
            raise FetchFailed(f"{name} in the folder {root} is neither a file nor a folder.")
        elif status.st_size > _LARGEST_BYTES:
            raise FetchFailed(f"{name} in the folder {root} is larger than {_LARGEST_BYTES // 1_048_576} MiB.")
        else:
            yield name, _Seen(target, (status.st_mtime_ns, status.st_ctime_ns), status.st_size, status.st_ino)


def _read(file: _Seen) -> bytes:
    # Where a link was put in the file's place meanwhile, it is not followed.
    with os.fdopen(os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as opened:
        return opened.read(_LARGEST_BYTES)

"""Puts a folder of configuration files into a Git repository as a commit, where config-server reads it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

_BRANCH = "refs/heads/main"
_AUTHOR = "config-files"
_STALE_LOCK_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0


class NotPublishable(Exception):
    """The folder or the repository can't be used; the message says why."""


def publish(folder: Path, repository: Path) -> str:
    """Commit what is in `folder` to branch main of a bare repository, which is made if it is missing.

    Answers the id of the commit; where nothing changed, that of the one which is there. Hidden files and editors'
    backups are left out, symbolic links are refused. A crash at any moment leaves the old commit or the new one.

    Raises:
        NotPublishable: there is no such folder, or a link or the like is in it, or the repository is broken.
        OSError: reading or writing failed.
    """
    if not folder.is_dir():
        raise NotPublishable(f"There is no folder {folder} with configuration files.")
    try:
        opened = _open_or_make(repository)
        # Objects reach the disk before the reference that names them (libgit2 leaves that to the system by default).
        pygit2.settings.enable_fsync_gitdir(True)
        with _alone(opened):
            return _commit(opened, _write_tree(opened, folder))
    except pygit2.GitError as error:
        raise NotPublishable(f"The repository {repository} can't be written: {error}") from error


def _open_or_make(repository: Path) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(repository), RepositoryOpenFlag.NO_SEARCH)
    except pygit2.GitError:
        # Making it again completes one that a crash left half made, and harms nothing in it.
        repository.mkdir(parents=True, exist_ok=True)
        return pygit2.init_repository(str(repository), bare=True, initial_head="main")


@contextmanager
def _alone(repository: pygit2.Repository) -> Iterator[None]:
    """One publisher at a time; the kernel lets go of the lock when its holder dies."""
    with (Path(repository.path) / "publish.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_tree(repository: pygit2.Repository, folder: Path) -> pygit2.Oid:
    builder = repository.TreeBuilder()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_symlink():
            raise NotPublishable(f"{path} is a symbolic link, and those are not published; copy the file.")
        if path.is_dir():
            tree = _write_tree(repository, path)
            if len(repository[tree].peel(pygit2.Tree)):  # Git knows no empty folders
                builder.insert(path.name, tree, FileMode.TREE)
        elif path.is_file():
            builder.insert(path.name, repository.create_blob(path.read_bytes()), FileMode.BLOB)
        else:
            raise NotPublishable(f"{path} is neither a file nor a folder.")
    return builder.write()


def _commit(repository: pygit2.Repository, tree: pygit2.Oid) -> str:
    author = pygit2.Signature(_AUTHOR, f"{_AUTHOR}@localhost")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        parents = _tip(repository)
        message = "Publish the configuration files"
        if parents:
            tip = repository[parents[0]].peel(pygit2.Commit)
            if tip.tree_id == tree:
                return str(tip.id)
            message = _message(tip.tree, repository[tree].peel(pygit2.Tree))
        try:
            return str(repository.create_commit(_BRANCH, author, author, message, tree, parents))
        except (pygit2.GitError, OSError):
            # A push came in between, or someone died while he moved the branch and left Git's lock behind.
            lock = Path(repository.path) / f"{_BRANCH}.lock"
            if time.monotonic() > deadline or not (lock.exists() or _tip(repository) != parents):
                raise
            if lock.exists() and time.time() - lock.stat().st_mtime > _STALE_LOCK_SECONDS:
                lock.unlink(missing_ok=True)
            time.sleep(0.05)


def _tip(repository: pygit2.Repository) -> list[pygit2.Oid]:
    """The commit of the branch, as the parents of the next one; none where there is no branch yet."""
    if _BRANCH not in repository.references:
        return []
    return [repository.lookup_reference(_BRANCH).peel(pygit2.Commit).id]


def _message(old: pygit2.Tree, new: pygit2.Tree) -> str:
    changed = sorted(delta.new_file.path for delta in old.diff_to_tree(new).deltas)
    return "Publish " + ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if changed[5:] else "")

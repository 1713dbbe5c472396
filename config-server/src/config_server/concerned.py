"""Whom a changed file concerns, guessed from its name as Spring's /monitor does."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from .precedence import SHARED_NAME

EVERYBODY = "*"

_MOST_NAMES = 20  # out of one file's name, as Spring has it


def names_of(path: str) -> list[str]:
    """The names that a file's name may begin with, the longest first; `*` for the shared one.

    `order-service-prod.yml` may be of `order-service-prod`, `order-service` or `order`.
    """
    file = path.replace("\\", "/").rpartition("/")[2]
    stem, dot, _ = file.rpartition(".")
    parts = (stem if dot else file).split("-")[:_MOST_NAMES]
    names = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [EVERYBODY if name == SHARED_NAME else name for name in names if name]


def names_of_all(paths: Iterable[str]) -> list[str]:
    """Those of several files, each name once, in the order in which they come up."""
    return list(dict.fromkeys(name for path in paths for name in names_of(path)))


def names_changed(paths: Iterable[str]) -> set[str]:
    """Those of changed files of the repository, and of their folders: a search path may be `{application}`."""
    names: set[str] = set()
    for path in paths:
        names.update(names_of(path))
        names.update(PurePosixPath(path).parts[:-1])
    return names

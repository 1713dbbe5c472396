"""Notices that another commit is served, by itself or after a webhook, and has those told whom it concerns."""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from chassis.problems import Problem
from prometheus_client import Counter

from .concerned import EVERYBODY, names_changed
from .errors import FetchFailed
from .sources import LabelUnknown

logger = logging.getLogger(__name__)

_MOST_SHOWN = 20
_FETCH_SECONDS = 20.0

COMMITS = Counter("config_server_changes_noticed", "New commits of the default label that were noticed")


class Watch:
    """Looks at the `commit` that is served every `pause_seconds`, and at once after `look_now`, which fetches first.

    The commit whose change was told last is kept in the file `notes`, so that one that comes while the server is away
    is told when it is back.
    """

    def __init__(
        self,
        commit: Callable[[], str],
        changed_paths: Callable[[str, str], list[str]],
        tell: Callable[[Collection[str]], Collection[object]],
        *,
        fetch: Callable[[], Awaitable[object]] | None,
        pause_seconds: float,
        notes: Path | None,
    ) -> None:
        self._commit = commit
        self._changed_paths = changed_paths
        self._tell = tell
        self._fetch = fetch
        self._pause_seconds = pause_seconds
        self._notes = notes
        self._asked = asyncio.Event()
        self._names: set[str] = set()

    def look_now(self, names: Iterable[str]) -> None:
        """Somebody says that files of these names have changed: fetch, look, and tell them whatever is found."""
        self._names.update(names)
        self._asked.set()

    async def run(self) -> None:
        """Watch for ever; to be run as a supervised task."""
        told = await asyncio.to_thread(self._read_notes)
        while True:
            asked = self._asked.is_set()
            self._asked.clear()
            names, self._names = self._names, set()
            told = await self._look(told, names, asked=asked)
            try:
                async with asyncio.timeout(self._pause_seconds):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _look(self, told: str | None, names: set[str], *, asked: bool) -> str | None:
        if asked and self._fetch is not None:
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    await self._fetch()
            except TimeoutError:
                logger.warning("the fetch after a webhook takes long; what it brings will be noticed when it is here")
            except FetchFailed:
                pass  # the fetcher says so, and tries again
        now = told
        with suppress(LabelUnknown, Problem):  # readiness says so, and what was served goes on being served
            now = await asyncio.to_thread(self._commit)
        if now is not None and told is not None and now != told:
            COMMITS.inc()
            names |= await asyncio.to_thread(self._names_between, told, now)
        if names:
            told_now = len(self._tell(names))
            shown = sorted(names)[:_MOST_SHOWN]
            logger.info("commit %s may concern %s: %d instances are told", now, ", ".join(shown), told_now)
        if now is not None and now != told:
            await asyncio.to_thread(self._write_notes, now)
        return now

    def _names_between(self, old: str, new: str) -> set[str]:
        try:
            return names_changed(self._changed_paths(old, new))
        except (LookupError, Problem):
            return {EVERYBODY}  # a history that was rewritten: nobody can say what is different

    def _read_notes(self) -> str | None:
        if self._notes is None:
            return None
        try:
            return str(json.loads(self._notes.read_text())["told"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _write_notes(self, commit: str) -> None:
        if self._notes is None:
            return
        new = self._notes.with_suffix(f".{os.getpid()}")
        try:
            self._notes.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"told": commit}))
            new.replace(self._notes)
        except OSError as error:
            logger.warning("which commit was told last can't be noted in %s: %s", self._notes, error)


class Watches:
    """The watches of several repositories; the first is the default one's."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def look_now(self, names: Iterable[str]) -> None:
        """As Watch.look_now. Which repository it was nobody says for certain: all look, and the names are told once."""
        first, *others = self._watches
        first.look_now(names)
        for watch in others:
            watch.look_now(())


def notes_of(state_dir: Path, uri: str, label: str) -> Path:
    """The file for the notes about this label of this repository."""
    digest = hashlib.sha256(f"{uri} {label}".encode()).hexdigest()[:12]
    return state_dir / f"config-server-told-{digest}.json"

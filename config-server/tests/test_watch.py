"""When the watch looks: after a fetch where there is something to fetch, and again whatever went wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.testing.waiting import until

from config_server.errors import FetchFailed, RepositoryUnusable
from config_server.watch import Watch, notes_of


class Remote:
    """A label that moves when it is fetched; `trouble` is what goes wrong instead."""

    def __init__(self) -> None:
        self.commit = "1"
        self.trouble: Exception | None = None
        self.told: list[set[str]] = []
        self.looks = 0

    async def fetch(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.commit = str(int(self.commit) + 1)

    def look(self) -> str:
        self.looks += 1
        if self.commit == "":
            raise RepositoryUnusable("The repository is gone.")
        return self.commit

    def changed_paths(self, old: str, new: str) -> list[str]:
        return [f"from-{old}-to-{new}.yml"]

    def tell(self, names: Collection[str]) -> Collection[object]:
        self.told.append({*names})
        return ()


@asynccontextmanager
async def watching(remote: Remote, *, pause_seconds: float = 60.0, notes: Path | None = None) -> AsyncIterator[Watch]:
    watch = Watch(
        remote.look, remote.changed_paths, remote.tell, fetch=remote.fetch, pause_seconds=pause_seconds, notes=notes
    )
    running = asyncio.create_task(watch.run())
    await until(lambda: remote.looks)
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def has_told(remote: Remote, name: str) -> Callable[[], bool]:
    return lambda: any(name in names for names in remote.told)


async def test_a_webhook_has_the_repository_fetched_before_it_is_looked_at() -> None:
    remote = Remote()
    async with watching(remote) as watch:
        watch.look_now({"order"})
        await until(has_told(remote, "from-1-to-2"))

    assert "order" in remote.told[0]


async def test_whom_a_webhook_names_is_told_though_the_fetch_failed() -> None:
    remote = Remote()
    remote.trouble = FetchFailed("The remote is away.")
    async with watching(remote) as watch:
        watch.look_now({"order"})
        await until(has_told(remote, "order"))

    assert remote.told == [{"order"}]


async def test_a_label_that_moved_by_itself_is_noticed() -> None:
    remote = Remote()
    async with watching(remote, pause_seconds=0.01):
        remote.commit = "5"
        await until(has_told(remote, "from-1-to-5"))


async def test_a_repository_that_was_away_is_compared_with_what_was_told_last() -> None:
    remote = Remote()
    async with watching(remote, pause_seconds=0.01):
        remote.commit = ""
        looks = remote.looks
        await until(lambda: remote.looks > looks + 2)
        remote.commit = "3"
        await until(has_told(remote, "from-1-to-3"))

    assert len(remote.told) == 1


async def test_notes_that_can_not_be_read_are_no_notes(tmp_path: Path) -> None:
    notes = notes_of(tmp_path, "uri", "main")
    notes.write_text("[1]")
    remote = Remote()

    async with watching(remote, notes=notes):
        await until(lambda: notes.read_text() == '{"told": "1"}')

    assert remote.told == []

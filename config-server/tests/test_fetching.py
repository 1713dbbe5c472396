"""Fetching in the background: at the interval, on demand, one at a time, and what is said when it fails."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pygit2
import pytest
from prometheus_client import REGISTRY
from support.git_server import GitServer, git_server
from support.repositories import ConfigRepository

from config_server.clones import Clone
from config_server.errors import FetchFailed
from config_server.fetching import Fetcher
from config_server.remotes import Remote, prepare_git
from config_server.sources import GitRepository


@pytest.fixture
def remote_server(repository: ConfigRepository, tmp_path: Path) -> Iterator[GitServer]:
    prepare_git(timeout_seconds=5, state=tmp_path / "state")
    repository.commit({"app.yml": "a: 1\n"})
    with git_server(repository.path) as server:
        yield server


@contextmanager
def _fetching(
    server: GitServer, folder: Path, *, interval_seconds: float = 3600, stale_after_seconds: float = 7200
) -> Iterator[Fetcher]:
    fetcher = Fetcher(
        "test",
        Clone(Remote(server.uri), folder),
        interval_seconds=interval_seconds,
        stale_after_seconds=stale_after_seconds,
    )
    fetcher.start()
    try:
        yield fetcher
    finally:
        fetcher.stop()


class _Gate:
    """A remote whose fetches are counted, and wait at a gate once they have looked."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.uri = remote.uri
        self.gate = threading.Event()
        self.brought = 0

    def bring(self, repository: pygit2.Repository) -> Mapping[str, str]:
        told = self._remote.bring(repository)
        self.brought += 1
        self.gate.wait(10)
        return told


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def _metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"repository": "test"}) or 0.0


def test_it_clones_at_the_start_and_fetches_at_the_interval(
    remote_server: GitServer, repository: ConfigRepository, tmp_path: Path
) -> None:
    with _fetching(remote_server, tmp_path, interval_seconds=0.02) as fetcher:
        _wait_until(lambda: fetcher.path)
        commit = repository.commit({"app.yml": "a: 2\n"})

        served = GitRepository(remote_server.uri, fetcher)

        _wait_until(lambda: served.commit_of("main") == commit)


def test_the_first_clone_is_tried_again_until_it_is_there(remote_server: GitServer, tmp_path: Path) -> None:
    remote_server.fault = "refuse"
    before = _metric("config_server_fetch_failures_total")
    with _fetching(remote_server, tmp_path) as fetcher:
        _wait_until(lambda: _metric("config_server_fetch_failures_total") > before)
        assert fetcher.path is None
        assert "has not been cloned yet" in fetcher.missing_reason()
        assert "503" in fetcher.missing_reason()

        remote_server.heal()

        _wait_until(lambda: fetcher.path)  # long before the interval of an hour


class TestRefresh:
    async def test_what_was_pushed_before_can_be_read_afterwards(
        self, remote_server: GitServer, repository: ConfigRepository, tmp_path: Path
    ) -> None:
        with _fetching(remote_server, tmp_path) as fetcher:
            served = GitRepository(remote_server.uri, fetcher)
            for number in range(5):
                commit = repository.commit({"app.yml": f"a: {number}\n"})

                await fetcher.refresh()

                assert served.commit_of("main") == commit

    async def test_many_at_once_share_one_fetch_that_begins_after_they_asked(
        self, remote_server: GitServer, repository: ConfigRepository, tmp_path: Path
    ) -> None:
        source = _Gate(Remote(remote_server.uri))
        fetcher = Fetcher("test", Clone(source, tmp_path), interval_seconds=3600, stale_after_seconds=7200)
        fetcher.start()
        try:
            await asyncio.to_thread(_wait_until, lambda: source.brought == 1)
            commit = repository.commit({"app.yml": "a: 2\n"})  # the fetch that runs may not see it
            waiting = [asyncio.create_task(fetcher.refresh()) for _ in range(5)]
            await asyncio.to_thread(_wait_until, lambda: len(fetcher._state._waiters) == 5)  # type: ignore[attr-defined]  # threading's own list, which says when all have asked
            source.gate.set()
            await asyncio.gather(*waiting)

            assert source.brought == 2
            assert GitRepository(remote_server.uri, fetcher).commit_of("main") == commit
        finally:
            fetcher.stop()

    async def test_a_failure_is_raised(self, remote_server: GitServer, tmp_path: Path) -> None:
        with _fetching(remote_server, tmp_path) as fetcher:
            await fetcher.refresh()
            remote_server.fault = "refuse"

            with pytest.raises(FetchFailed, match="503"):
                await fetcher.refresh()

    async def test_who_waits_is_let_go_when_the_server_stops(self, remote_server: GitServer, tmp_path: Path) -> None:
        with _fetching(remote_server, tmp_path) as fetcher:
            await fetcher.refresh()
            remote_server.fault = "hang"
            waiting = asyncio.create_task(fetcher.refresh())
            await asyncio.to_thread(_wait_until, lambda: remote_server.requests[-1].startswith("GET"))
            fetcher.stop()

            with pytest.raises(FetchFailed, match="the server is stopping"):
                await asyncio.wait_for(waiting, 2)


class TestStaleness:
    async def test_a_failure_is_told_with_the_age_and_becomes_stale_when_it_lasts(
        self, remote_server: GitServer, tmp_path: Path
    ) -> None:
        with _fetching(remote_server, tmp_path, stale_after_seconds=0.3) as fetcher:
            await fetcher.refresh()
            assert fetcher.details()["stale"] is False
            assert fetcher.stale_reason() is None
            remote_server.fault = "refuse"
            with pytest.raises(FetchFailed):
                await fetcher.refresh()

            assert fetcher.details()["stale"] is True
            assert "503" in fetcher.details()["reason"]
            await asyncio.to_thread(_wait_until, lambda: fetcher.stale_reason() is not None)
            assert "503" in str(fetcher.stale_reason())
            assert _metric("config_server_fetch_stale") == 1
            assert _metric("config_server_fetch_age_seconds") > 0.3

            remote_server.heal()
            await fetcher.refresh()
            assert fetcher.stale_reason() is None
            assert "reason" not in fetcher.details()
            assert _metric("config_server_fetch_stale") == 0

    async def test_the_age_goes_on_from_before_a_restart(self, remote_server: GitServer, tmp_path: Path) -> None:
        with _fetching(remote_server, tmp_path) as fetcher:
            await fetcher.refresh()
        assert fetcher.path is not None
        marker = fetcher.path / "flotilla-fetched"
        os.utime(marker, (time.time() - 1000, time.time() - 1000))
        remote_server.fault = "refuse"

        with _fetching(remote_server, tmp_path) as later:
            assert later.age_seconds() > 999


def test_a_reader_that_meets_a_fault_has_the_clone_made_anew(remote_server: GitServer, tmp_path: Path) -> None:
    with _fetching(remote_server, tmp_path) as fetcher:
        _wait_until(lambda: fetcher.path)
        damaged = fetcher.path
        assert damaged is not None
        (damaged / "HEAD").unlink()

        fetcher.suspect()

        _wait_until(lambda: fetcher.path != damaged)  # long before the interval of an hour


def test_a_fetch_that_hangs_does_not_hold_up_the_end(remote_server: GitServer, tmp_path: Path) -> None:
    remote_server.fault = "hang"
    with _fetching(remote_server, tmp_path):
        _wait_until(lambda: remote_server.requests)

    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "fetch")

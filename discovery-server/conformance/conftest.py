"""The programs, a real server, and a count of what was compared."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from support.server import running_server

from .differential import Pair
from .java_programs import eureka_server, find_program

_COMPARED = pytest.StashKey[list[Pair]]()


@pytest.fixture(scope="session")
def program() -> Path:
    """The jar with Spring Cloud's server and client."""
    return find_program()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(
    program: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Pair]:
    """A real server and ours, both empty at first, that remember changes for an hour.

    The real one keeps no answers: those of a vip would be stale where an instance has given up that vip.
    """
    log = tmp_path_factory.mktemp("eureka") / "log"
    remembers = {
        "eureka.server.retention-time-in-m-s-in-delta-queue": 3_600_000,
        "eureka.server.response-cache-auto-expiration-in-seconds": 0,
    }
    async with (
        eureka_server(program, log, **remembers) as real,
        running_server(delta_retention_seconds=3600, self_preservation=False) as ours,
        httpx.AsyncClient(timeout=10) as client,
    ):
        compared = Pair(real, ours.eureka, client)
        request.config.stash.setdefault(_COMPARED, []).append(compared)
        yield compared


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if pairs := terminalreporter.config.stash.get(_COMPARED, []):
        requests, differences = sum(pair.requests for pair in pairs), sum(len(pair.differences) for pair in pairs)
        terminalreporter.write_line(
            f"{requests} requests answered by the real server and by ours, {differences} otherwise"
        )

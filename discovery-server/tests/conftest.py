"""A registry by a clock of its own; a server that anybody may use, and a client of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from support.clock import FakeClock
from support.server import RunningServer, running_server

from discovery_server.registry.registry import Registry


@pytest.fixture
def time() -> FakeClock:
    """A clock that goes on when it is told to."""
    return FakeClock()


@pytest.fixture
def registry(time: FakeClock) -> Registry:
    """An empty one, by that clock."""
    return Registry(time.clock)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_server() -> AsyncIterator[RunningServer]:
    """Served all the while, since stopping takes uvicorn a moment; sweeps twenty times a second."""
    async with running_server(sweep_seconds=0.05) as server:
        yield server


@pytest.fixture
def server(one_server: RunningServer) -> RunningServer:
    """A server without instances, whose delta tells nothing of earlier tests."""
    one_server.clear()
    return one_server


@pytest_asyncio.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to `server` and wants JSON."""
    async with httpx.AsyncClient(base_url=server.eureka, headers={"Accept": "application/json"}) as client:
        yield client

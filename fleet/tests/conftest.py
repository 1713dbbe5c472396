"""Project folders, fleets of tiny services that run in them, and the whole fleet."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from support.fleets import TinyFleet
from support.storefront import Storefront
from support.whole_fleet import WholeFleet

from fleet.state import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A project with one config file, and nothing that runs."""
    (tmp_path / "config-files").mkdir()
    (tmp_path / "config-files" / "application.yml").write_text("log:\n  level: INFO\n")
    made = Home(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def start_tiny_fleet(home: Home) -> Iterator[Callable[..., TinyFleet]]:
    started: list[TinyFleet] = []

    def start(*parts: dict[str, str], with_imports: bool = False) -> TinyFleet:
        started.append(TinyFleet(home, *parts, with_imports=with_imports))
        return started[-1]

    yield start
    for fleet in started:
        fleet.process.terminate()
        fleet.process.wait(20)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storefront]:
    """The whole fleet, for all tests that need it."""
    async with _open(WholeFleet(tmp_path_factory.mktemp("fleet"))) as shop:
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hasty_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storefront]:
    """A second fleet beside the first, which gives an order only a few seconds."""
    async with _open(WholeFleet(tmp_path_factory.mktemp("hasty"), order_deadline_seconds=4)) as shop:
        yield shop


@asynccontextmanager
async def _open(fleet: WholeFleet) -> AsyncIterator[Storefront]:
    await asyncio.to_thread(fleet.up)
    try:
        limits = httpx.Limits(max_connections=100)
        url = json.loads((fleet.home / ".run" / "fleet.json").read_text())["gateway_url"]
        async with httpx.AsyncClient(base_url=url, timeout=20.0, trust_env=False, limits=limits) as client:
            yield await Storefront.enter(fleet.home, client)
    finally:
        await asyncio.to_thread(fleet.run, "down")

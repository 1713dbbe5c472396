"""A broker of its own for each test that asks, and clients that are stopped in the end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support.clients import Clients

from embedded_kafka import EmbeddedKafka


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    async with EmbeddedKafka(tmp_path / "kafka", initial_rebalance_seconds=0.1) as broker:
        yield broker


@pytest.fixture
async def clients(kafka: EmbeddedKafka) -> AsyncIterator[Clients]:
    clients = Clients(kafka.bootstrap)
    yield clients
    await clients.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Awaitable[Clients]]]:
    """For tests that start brokers themselves."""
    stack = AsyncExitStack()

    async def connected(bootstrap: str) -> Clients:
        clients = Clients(bootstrap)
        stack.push_async_callback(clients.stop)
        return clients

    yield connected
    await stack.aclose()

"""A broker of its own for each test that asks, and clients that are stopped in the end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded_kafka import EmbeddedKafka


class Clients:
    """Starts aiokafka's clients against one address, and stops them in the reverse order."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._stack = AsyncExitStack()

    async def producer(self, **options: Any) -> AIOKafkaProducer:
        return await self._started(AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", **options))

    async def consumer(self, *topics: str, **options: Any) -> AIOKafkaConsumer:
        defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
        return await self._started(
            AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, **{**defaults, **options})
        )

    async def admin(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        self._stack.push_async_callback(admin.close)
        await admin.start()
        return admin

    async def create_topic(self, name: str, partitions: int = 1, **configs: str) -> None:
        """A config's underscores stand for the dots of its name."""
        admin = await self.admin()
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        assert [error[1] for error in answer.topic_errors] == [0], answer

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _started(self, client: Any) -> Any:
        self._stack.push_async_callback(client.stop)
        await client.start()
        return client


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    async with EmbeddedKafka(tmp_path / "kafka", initial_rebalance_seconds=0.02) as broker:
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

"""aiokafka's clients, started against one address and stopped in the reverse order."""

from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


class Clients:
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

"""The way to Kafka: one producer for the process, consumers, and topics that are made before they are used."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnsupportedVersionError, for_code

from .settings import ServiceSettings

logger = logging.getLogger(__name__)

DEAD_LETTER_SUFFIX = "-dlt"


class Kafka:
    """Makes what talks to the broker. Waits for a broker that is away, as long as it takes."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def producer(self) -> AIOKafkaProducer:
        """The process's producer, started: acks=all, and idempotent where the broker can."""
        async with self._lock:
            if self._producer is None:
                self._producer = await self._wait_for(self._start_producer)
            return self._producer

    def consumer(self, *topics: str, group: str | None, **options: Any) -> AIOKafkaConsumer:
        """A consumer that commits only when told to; `group` None reads without one. To be started by the caller."""
        return AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._settings.kafka_bootstrap,
            client_id=self._settings.service_name,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=6_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=500,
            **options,
        )

    async def start(self, consumer: AIOKafkaConsumer) -> None:
        """Start a consumer, waiting for the broker."""
        await self._wait_for(consumer.start)

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        """Make the topics that are not there yet, waiting for the broker. Names that exist are left as they are."""
        wanted = sorted(set(topics))

        async def create() -> None:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=self._settings.kafka_bootstrap, client_id=self._settings.service_name
            )
            try:
                await admin.start()
                missing = set(wanted) - set(await admin.list_topics())
                new = [
                    NewTopic(name, self._settings.kafka_partitions, self._settings.kafka_replication)
                    for name in sorted(missing)
                ]
                if new:
                    answer = await admin.create_topics(new)
                    for topic, code, *_ in answer.topic_errors:
                        error = for_code(code)
                        if error is not TopicAlreadyExistsError and code != 0:
                            raise error(f"the topic {topic} can't be made")
            finally:
                await admin.close()

        await self._wait_for(create)

    async def aclose(self) -> None:
        """Stop the producer, sending what it holds."""
        async with self._lock:
            if self._producer is not None:
                await self._producer.stop()
                self._producer = None

    async def _start_producer(self) -> AIOKafkaProducer:
        for idempotent in (True, False):
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap,
                client_id=self._settings.service_name,
                acks="all",
                enable_idempotence=idempotent,
                request_timeout_ms=10_000,
            )
            try:
                await producer.start()
                return producer
            except UnsupportedVersionError:
                await producer.stop()
            except BaseException:
                await producer.stop()
                raise
        raise AssertionError("a producer without idempotence needs nothing that a broker could lack")

    async def _wait_for(self, attempt: Any) -> Any:
        pause = 0.1
        while True:
            try:
                return await attempt()
            except (KafkaError, OSError) as error:
                logger.warning(
                    "Kafka at %s is not there, trying again in %.1f s: %r", self._settings.kafka_bootstrap, pause, error
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 3.0)

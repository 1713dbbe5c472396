"""Hears which sessions were ended, so that their access tokens are dead at once and not when they run out."""

import logging
import time

from aiokafka import ConsumerRecord, TopicPartition

from .kafka import Kafka
from .messages import Envelope, Event, Unreadable
from .security import RevokedSessions
from .settings import ServiceSettings

logger = logging.getLogger(__name__)


class SessionRevoked(Event):
    """A session has ended; said by auth-service."""

    topic = "auth-events"
    type = "auth.session-revoked.v1"

    session_id: str


class RevocationListener:
    """Reads the whole topic without a group (every process needs every event), from as far back as a token can live."""

    def __init__(self, settings: ServiceSettings, kafka: Kafka, revoked: RevokedSessions) -> None:
        self._settings = settings
        self._kafka = kafka
        self._revoked = revoked

    async def run(self) -> None:
        """Listen until cancelled; to be run as a supervised task."""
        await self._kafka.ensure_topics([SessionRevoked.topic])
        consumer = self._kafka.consumer(group=None)
        try:
            await self._kafka.start(consumer)
            producer = await self._kafka.producer()
            partitions = [
                TopicPartition(SessionRevoked.topic, number)
                for number in sorted(await producer.partitions_for(SessionRevoked.topic))
            ]
            consumer.assign(partitions)
            since = int((time.time() - self._revoked.keep_seconds) * 1000)
            # Asked for first: what is said between the two questions is after this end, or found by its time.
            ends = await consumer.end_offsets(partitions)
            for partition, found in (await consumer.offsets_for_times(dict.fromkeys(partitions, since))).items():
                consumer.seek(partition, found.offset if found is not None else ends[partition])
            async for record in consumer:
                self._hear(record)
        finally:
            await consumer.stop()

    def _hear(self, record: ConsumerRecord) -> None:
        try:
            envelope = Envelope.from_record(
                topic=record.topic, key=record.key, headers=record.headers, value=record.value
            )
            if envelope.type == SessionRevoked.type:
                self._revoked.add(SessionRevoked.read(envelope).session_id)
        except Unreadable as error:
            logger.warning("passing over an event at %s/%d: %s", record.topic, record.offset, error)

"""Dead letters: events that could not be handled, kept byte for byte in `<topic>-dlt` with what went wrong."""

import traceback

from aiokafka import ConsumerRecord

from .kafka import DEAD_LETTER_SUFFIX, Kafka


class DeadLetters:
    """Writes dead letters, with the headers that Spring Kafka's DeadLetterPublishingRecoverer has (promise K6)."""

    def __init__(self, kafka: Kafka, group: str) -> None:
        self._kafka = kafka
        self._group = group

    async def add(self, record: ConsumerRecord, error: Exception) -> None:
        """Returns once the broker has it. Raises KafkaError otherwise: the offset must not move then (K7)."""
        headers = [
            *record.headers,
            ("dlt-original-topic", record.topic.encode()),
            ("dlt-original-partition", str(record.partition).encode()),
            ("dlt-original-offset", str(record.offset).encode()),
            ("dlt-original-timestamp", str(record.timestamp).encode()),
            ("dlt-original-consumer-group", self._group.encode()),
            ("dlt-exception-fqcn", f"{type(error).__module__}.{type(error).__qualname__}".encode()),
            ("dlt-exception-message", str(error).encode()),
            ("dlt-exception-stacktrace", "".join(traceback.format_exception(error)).encode()[-8000:]),
        ]
        producer = await self._kafka.producer()
        topic = f"{record.topic}{DEAD_LETTER_SUFFIX}"
        partitions = await producer.partitions_for(topic)
        await producer.send_and_wait(
            topic,
            value=record.value,
            key=record.key,
            headers=headers,
            partition=record.partition if record.partition in partitions else None,
        )

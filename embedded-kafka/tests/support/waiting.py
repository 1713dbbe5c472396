"""Waiting for a condition with a deadline, instead of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """The condition may be asynchronous."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(0.005)


async def take(consumer: AIOKafkaConsumer, count: int, seconds: float = 15) -> list[ConsumerRecord]:
    """Exactly so many records, or a failure."""
    records: list[ConsumerRecord] = []
    async with asyncio.timeout(seconds):
        while len(records) < count:
            found = await consumer.getmany(timeout_ms=1000, max_records=count - len(records))
            records += [record for batch in found.values() for record in batch]
    return records

"""The transactional outbox: events are written beside the state they belong to; a relay tells them in their order."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence

import asyncpg
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from .database import Database
from .kafka import Kafka
from .messages import Envelope, Event
from .tables import OutboxRow

logger = logging.getLogger(__name__)

PENDING = Gauge("outbox_pending_events", "Events that were decided and not yet told")
OLDEST = Gauge("outbox_oldest_pending_seconds", "Age of the oldest event that is not yet told")
PUBLISHED = Counter("outbox_published", "Events that the broker has acknowledged", ["topic", "type"])

_BATCH = 500
_LARGEST_PAYLOAD_BYTES = 900_000  # below the 1 MiB that brokers take by default, headers included
_LOOK_AGAIN_SECONDS = 5.0  # a notice can get lost with its connection; this is how long that may go unseen
_LOCK = 0x6F757462


def publish(session: AsyncSession, event: Event, *, key: object) -> Envelope:
    """Tell the fleet, if and only if this transaction commits (promises K1, K2).

    `key` is the aggregate's id: events with one key stay in order. Raises ValueError for an event too large to be
    sent, while there is still somebody to tell.
    """
    envelope = Envelope.of(event, key=key, source=session.info["source"])
    if len(envelope.data) > _LARGEST_PAYLOAD_BYTES:
        raise ValueError(
            f"{event.type} has {len(envelope.data)} bytes, over the {_LARGEST_PAYLOAD_BYTES} that are sent"
        )
    session.add(
        OutboxRow(
            id=envelope.id,
            topic=envelope.topic,
            key=envelope.key,
            type=envelope.type,
            headers={name: value.decode() for name, value in envelope.headers()},
            payload=envelope.data,
        )
    )
    return envelope


class Relay:
    """Sends outbox rows in their order and deletes them once the broker has them.

    One is active for each database at a time, by an advisory lock; the others stand by (promise K3). It wakes on
    NOTIFY. While Kafka is away rows stay where they are and nobody who writes is held up (promise K4).
    """

    def __init__(self, database: Database, kafka: Kafka) -> None:
        self._database = database
        self._kafka = kafka
        self._written = asyncio.Event()
        self._all_told = asyncio.Event()
        self._looked_at = 0.0

    async def run(self) -> None:
        """Relay until cancelled; to be run as a supervised task."""
        while True:
            try:
                await self._run_on_one_connection()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                logger.warning("the relay has lost the database, trying again: %s", error)
                await asyncio.sleep(0.5)

    async def flush(self, timeout_seconds: float) -> bool:
        """Whether everything that is written now is told within this time."""
        self._all_told.clear()
        self._written.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._all_told.wait()
        except TimeoutError:
            return False
        return True

    async def _run_on_one_connection(self) -> None:
        connection = await asyncpg.connect(self._database.dsn, timeout=5.0)
        try:
            # The lock lives as long as this connection: a relay that loses it stops with it.
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=None)
            await connection.add_listener("outbox", lambda *_: self._written.set())
            pause = 0.2
            while True:
                self._written.clear()
                try:
                    more = await self.send_batch(connection)
                    pause = 0.2
                except KafkaError as error:
                    logger.warning("the broker does not take events, trying again in %.1f s: %r", pause, error)
                    await self._measure(connection, at_least_every_seconds=0)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)
                    continue
                await self._measure(connection, at_least_every_seconds=_LOOK_AGAIN_SECONDS)
                if not more:
                    if not self._written.is_set():
                        self._all_told.set()
                    await self._sleep_until_written(connection)
        finally:
            await connection.close(timeout=2.0)

    async def send_batch(self, connection: asyncpg.Connection) -> bool:
        """Send what is there, up to 500 rows; whether there may be more. Raises KafkaError when some were not taken."""
        rows = await connection.fetch("SELECT * FROM outbox ORDER BY sequence LIMIT $1", _BATCH)
        if not rows:
            return False
        failure: BaseException | None = None
        held: set[str] = set()
        for wave in _waves(rows):
            wave = [row for row in wave if row["key"] not in held]
            outcomes = await self._send(wave)
            taken = [row["sequence"] for row, error in zip(wave, outcomes, strict=True) if error is None]
            await connection.execute("DELETE FROM outbox WHERE sequence = ANY($1::bigint[])", taken)
            for row, error in zip(wave, outcomes, strict=True):
                if error is None:
                    PUBLISHED.labels(row["topic"], row["type"]).inc()
                else:
                    failure = error
                    held.add(row["key"])  # what comes after it under this key must wait for it
        if failure is not None:
            raise failure
        return len(rows) == _BATCH

    async def _send(self, rows: Sequence[asyncpg.Record]) -> list[BaseException | None]:
        producer = await self._kafka.producer()
        deliveries = [
            await producer.send(
                row["topic"],
                value=row["payload"],
                key=row["key"].encode(),
                headers=[(name, value.encode()) for name, value in json.loads(row["headers"]).items()],
            )
            for row in rows
        ]
        outcomes = await asyncio.gather(*deliveries, return_exceptions=True)
        return [outcome if isinstance(outcome, BaseException) else None for outcome in outcomes]

    async def _sleep_until_written(self, connection: asyncpg.Connection) -> None:
        try:
            async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                await self._written.wait()
        except TimeoutError:
            await connection.fetchval("SELECT 1")  # a connection that died silently shows here

    async def _measure(self, connection: asyncpg.Connection, *, at_least_every_seconds: float) -> None:
        if time.monotonic() - self._looked_at < at_least_every_seconds:
            return
        self._looked_at = time.monotonic()
        row = await connection.fetchrow(
            "SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0) AS age FROM outbox"
        )
        assert row is not None
        PENDING.set(row["pending"])
        OLDEST.set(float(row["age"]))


def _waves(rows: Sequence[asyncpg.Record]) -> list[list[asyncpg.Record]]:
    """The rows in groups in which no key comes twice: within a group order does not matter, so it is sent at once."""
    waves: list[list[asyncpg.Record]] = []
    seen: dict[str, int] = {}
    for row in rows:
        number = seen.get(row["key"], 0)
        if number == len(waves):
            waves.append([])
        waves[number].append(row)
        seen[row["key"]] = number + 1
    return waves

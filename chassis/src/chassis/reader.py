"""The reader: hears events in batches, a transaction each; nothing is lost, doubled or reordered within a key."""

import asyncio
import heapq
import logging
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .database import Database, is_outage
from .dead_letters import DeadLetters
from .kafka import DEAD_LETTER_SUFFIX, Kafka
from .messages import Envelope, Event, Unreadable, handling
from .problems import Problem
from .reactions import Reactions
from .tables import InboxRow
from .telemetry import SpanKind, span

logger = logging.getLogger(__name__)

HANDLED = Counter("events_handled", "Events by what became of them", ["type", "outcome"])
BATCH_SECONDS = Histogram("event_batch_seconds", "Time to handle a batch of events, with its commit")
DELAY_SECONDS = Histogram(
    "event_delay_seconds",
    "Time from when an event happened to when it was handled",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
PARKED = Gauge("reader_parked_keys", "Keys whose next event has failed and is waiting to be tried again")

_BATCH = 200
_PARKED_LIMIT = 2000  # records held in memory behind failing ones; past it nothing more is fetched


@dataclass(frozen=True, slots=True)
class Heard:
    """A readable record on its way through the reader."""

    record: ConsumerRecord
    envelope: Envelope
    event: Event | None

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.record.topic, self.record.partition)


@dataclass(slots=True)
class Parked:
    """A key whose first event here has failed; those behind it wait, so that the key's order is kept."""

    waiting: deque[Heard] = field(default_factory=deque)
    tries: int = 1
    due_at: float = 0.0


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no complete type hints
    """One consumer of a group. An event has an effect once, however often it is delivered (promise K5).

    An event that fails is tried `tries` times, with a pause that doubles from `first_pause_seconds`, while events of
    other keys go on (K6); then, or at once if it can't be read, it goes to `<topic>-dlt`. Offsets are committed only
    after the transaction, and never past an event that is not settled (K7). A `Problem` is an answer, not a failure:
    it is logged, and the event is done. While the database is away, everything waits.
    """

    def __init__(
        self,
        database: Database,
        kafka: Kafka,
        reactions: Reactions,
        *,
        group: str,
        tries: int = 5,
        first_pause_seconds: float = 0.2,
    ) -> None:
        self._database = database
        self._kafka = kafka
        self._reactions = reactions
        self._group = group
        self._tries = tries
        self._first_pause_seconds = first_pause_seconds
        self._dead_letters = DeadLetters(kafka, group)
        self._rebalances = 0
        self._parked: dict[tuple[str, str], Parked] = {}
        self._next_offsets: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Read until cancelled; to be run as a supervised task."""
        topics = self._reactions.topics
        await self._kafka.ensure_topics([*topics, *(f"{topic}{DEAD_LETTER_SUFFIX}" for topic in topics)])
        self._forget()
        consumer = self._kafka.consumer(group=self._group, max_poll_records=_BATCH)
        consumer.subscribe(topics, listener=self)
        try:
            await self._kafka.start(consumer)
            logger.info("%s reads %s", self._group, ", ".join(topics))
            while True:
                await self._read_once(consumer)
        finally:
            await consumer.stop()

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """aiokafka calls this in the middle of whatever is going on here, so it is only noted: see `_read_once`."""
        self._rebalances += 1

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to prepare; aiokafka asks for the method."""

    async def _read_once(self, consumer: AIOKafkaConsumer) -> None:
        """One batch, and what is due again.

        After a rebalance every partition, ours or another's, is read on from its committed offset: what was parked
        comes again, and what was handled is found in the inbox. So nothing of before may be remembered, and no offset
        of before committed: it could lie past an event that was parked.
        """
        rebalances = self._rebalances
        if sum(len(parked.waiting) for parked in self._parked.values()) < _PARKED_LIMIT:
            fetched = await consumer.getmany(timeout_ms=int(self._seconds_until_due() * 1000), max_records=_BATCH)
        else:
            await asyncio.sleep(self._seconds_until_due())
            fetched = {}
        if self._rebalances != rebalances:
            rebalances = self._rebalances
            self._forget()
        if fetched:
            with BATCH_SECONDS.time():
                # Partitions are merged by time, so that cause mostly comes before effect across topics; within a
                # partition the order stays what it is.
                await self._take(list(heapq.merge(*fetched.values(), key=lambda record: record.timestamp)))
        await self._retry_due()
        if self._rebalances != rebalances:
            self._forget()
            return
        PARKED.set(len(self._parked))
        for partition, records in fetched.items():
            self._next_offsets[partition] = records[-1].offset + 1
        await self._commit(consumer)

    def _forget(self) -> None:
        self._parked.clear()
        self._next_offsets.clear()
        self._committed.clear()

    def _seconds_until_due(self) -> float:
        due = min((parked.due_at for parked in self._parked.values()), default=float("inf"))
        return min(max(due - time.monotonic(), 0.0), 1.0)

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        batch: list[Heard] = []
        for record in records:
            try:
                heard = self._hear(record)
            except Unreadable as error:
                await self._bury(record, "unreadable", error)
                continue
            if heard is None:
                continue
            if (parked := self._parked.get((record.topic, heard.envelope.key))) is not None:
                parked.waiting.append(heard)
            else:
                batch.append(heard)
        if batch:
            await self._handle_batch(batch)

    def _hear(self, record: ConsumerRecord) -> Heard | None:
        envelope = Envelope.from_record(topic=record.topic, key=record.key, headers=record.headers, value=record.value)
        if not self._reactions.concerns(envelope):
            HANDLED.labels(envelope.type, "ignored").inc()
            return None
        return Heard(record, envelope, self._reactions.parse(envelope))

    async def _handle_batch(self, batch: Sequence[Heard]) -> None:
        try:
            await self._wait_out_outages(batch)
        except Exception as error:
            logger.info("a batch of %d events failed (%r); handling them one by one", len(batch), error)
            for heard in batch:
                if (parked := self._parked.get((heard.record.topic, heard.envelope.key))) is not None:
                    parked.waiting.append(heard)
                elif not await self._handle_one(heard, tries=1):
                    pause = self._first_pause_seconds
                    self._parked[heard.record.topic, heard.envelope.key] = Parked(
                        deque([heard]), due_at=time.monotonic() + pause
                    )

    async def _retry_due(self) -> None:
        for key, parked in [*self._parked.items()]:
            if parked.due_at > time.monotonic():
                continue
            while parked.waiting:
                if not await self._handle_one(parked.waiting[0], tries=parked.tries + 1):
                    parked.tries += 1
                    parked.due_at = time.monotonic() + self._first_pause_seconds * 2 ** (parked.tries - 1)
                    break
                parked.waiting.popleft()
                parked.tries = 0  # the next one behind it has its own tries
            if not parked.waiting:
                self._parked.pop(key, None)

    async def _handle_one(self, heard: Heard, *, tries: int) -> bool:
        """Whether the event is settled: handled, answered with a problem, or put with the dead letters."""
        try:
            await self._wait_out_outages([heard])
        except Problem as problem:
            logger.warning("%s of %s: %s", heard.envelope.type, heard.envelope.key, problem.detail)
            async with self._database.shared() as session:
                await _note(session, [heard])
            HANDLED.labels(heard.envelope.type, "problem").inc()
        except Exception as error:
            if tries < self._tries:
                logger.warning(
                    "%s of %s failed (%d of %d tries)",
                    heard.envelope.type,
                    heard.envelope.key,
                    tries,
                    self._tries,
                    exc_info=True,
                )
                return False
            await self._bury(heard.record, heard.envelope.type, error)
        return True

    async def _wait_out_outages(self, batch: Sequence[Heard]) -> None:
        pause = 0.2
        while True:
            try:
                await self._handle(batch)
                return
            except Exception as error:
                if not is_outage(error):
                    raise
                logger.warning("the database is away, %d events wait: %r", len(batch), error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _handle(self, batch: Sequence[Heard]) -> None:
        """All of the batch in one transaction; any exception undoes all of it."""
        async with self._database.shared() as session:
            fresh = await _note(session, batch)
            kept = await self._reactions.preload([heard.event for heard in fresh if heard.event is not None])
            for heard in fresh:
                envelope = heard.envelope
                with (
                    span(f"handle {envelope.type}", SpanKind.CONSUMER, carrier=envelope.trace),
                    handling(envelope),
                ):
                    await self._reactions.react(envelope, heard.event)
            await session.flush()
            del kept
        now = datetime.now(UTC)
        for heard in fresh:
            HANDLED.labels(heard.envelope.type, "handled").inc()
            DELAY_SECONDS.observe(max(0.0, (now - heard.envelope.time).total_seconds()))
        for name, count in Tally(heard.envelope.type for heard in batch).items():
            doubled = count - sum(heard.envelope.type == name for heard in fresh)
            if doubled:
                HANDLED.labels(name, "duplicate").inc(doubled)

    async def _bury(self, record: ConsumerRecord, name: str, error: Exception) -> None:
        logger.error(
            "to the dead letters: %s at %s/%d/%d: %r", name, record.topic, record.partition, record.offset, error
        )
        await self._dead_letters.add(record, error)
        HANDLED.labels(name, "dead_letter").inc()

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        settled = dict(self._next_offsets)
        for parked in self._parked.values():
            for heard in parked.waiting:
                settled[heard.partition] = min(settled[heard.partition], heard.record.offset)
        assigned = consumer.assignment()
        news = {p: o for p, o in settled.items() if p in assigned and self._committed.get(p) != o}
        if not news:
            return
        try:
            await consumer.commit(news)
            self._committed |= news
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on; whoever reads these partitions now finds the events in the inbox.
            logger.info("offsets not committed, the group was rebalanced: %r", error)
        except KafkaError as error:
            logger.warning("offsets not committed, the next commit will say more: %r", error)


async def _note(session: AsyncSession, batch: Sequence[Heard]) -> list[Heard]:
    """Write the ids into the inbox; those events of the batch that were not there yet."""
    first = {heard.envelope.id: heard for heard in reversed(batch)}
    statement = insert(InboxRow).on_conflict_do_nothing().returning(InboxRow.id)
    new = set((await session.scalars(statement, [{"id": id_} for id_ in sorted(first)])).all())
    return [heard for heard in batch if heard.envelope.id in new and first[heard.envelope.id] is heard]

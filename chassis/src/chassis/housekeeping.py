"""Forgets what has served its time: inbox rows and kept answers."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete

from .database import Database
from .tables import IdempotencyRow, InboxRow

logger = logging.getLogger(__name__)

# Longer than Kafka keeps the events: what can still be delivered again is still known.
INBOX_RETENTION = timedelta(days=8)
IDEMPOTENCY_RETENTION = timedelta(days=2)  # promise I9 asks for one

_PAUSE = timedelta(hours=1)


class Housekeeping:
    """Deletes old rows once an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Clean until cancelled; to be run as a supervised task."""
        while True:
            await asyncio.sleep(_PAUSE.total_seconds())
            await self.clean(datetime.now(UTC))

    async def clean(self, now: datetime) -> None:
        """Delete what is too old at `now`."""
        async with self._database.begin() as session:
            await session.execute(delete(InboxRow).where(InboxRow.handled_at < now - INBOX_RETENTION))
            await session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - IDEMPOTENCY_RETENTION))

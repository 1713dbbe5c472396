"""What is kept, and for how long."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from support.demo import Demo

from chassis.housekeeping import Housekeeping
from chassis.ids import uuid7
from chassis.tables import IdempotencyRow, InboxRow


async def test_answers_are_kept_for_a_day_and_then_forgotten_i9(demo: Demo) -> None:
    now = datetime.now(UTC)
    async with demo.database.begin() as session:
        for age in (timedelta(hours=25), timedelta(days=3)):
            session.add(
                IdempotencyRow(
                    scope="s", key=str(age), fingerprint="f", status=200, headers={}, body=b"", created_at=now - age
                )
            )
        for age in (timedelta(days=7), timedelta(days=9)):
            session.add(InboxRow(id=uuid7(), handled_at=now - age))

    await Housekeeping(demo.database).clean(now)

    async with demo.database.begin() as session:
        assert await session.scalar(select(func.count()).select_from(IdempotencyRow)) == 1
        assert await session.scalar(select(func.count()).select_from(InboxRow)) == 1

"""The tables and the queries on them, on real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from chassis.database import Database
from chassis.testing.migrations import assert_migrations_match
from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from support.fleet import Fleet

from payment_service.domain import Payment
from payment_service.service import PaymentService
from payment_service.settings import Settings
from payment_service.storage import PaymentStore, RefundStore, metadata

Service = ServiceUnderTest[Settings]

# Nothing here is due before the next century, so that the service under test leaves it alone.
FUTURE = datetime(2126, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(service: Service) -> Database:
    database: Database = service.app.state.database
    return database


def payment(*, due_at: datetime = FUTURE) -> Payment:
    return Payment.request(
        order_id=uuid4(),
        customer_id=uuid4(),
        amount=2598,
        currency="EUR",
        payment_method="card-ok",
        provider="sandbox",
        cause={"traceparent": "00-1-2-01"},
        now=due_at,
    )


async def test_migrations_make_the_tables_that_the_code_believes_in(database: Database) -> None:
    await assert_migrations_match(database, metadata)


async def test_a_payment_is_read_as_it_was_written(database: Database) -> None:
    written = payment()
    async with database.begin() as session:
        PaymentStore(session).add(written)

    async with database.begin() as session:
        read = await PaymentStore(session).get(written.id)

    assert read is not None
    assert {name: value for name, value in vars(read).items() if name != "_sa_instance_state"} == {
        name: value for name, value in vars(written).items() if name != "_sa_instance_state"
    }


async def test_an_order_has_one_payment(database: Database) -> None:
    first, second = payment(), payment()
    second.order_id = first.order_id
    async with database.begin() as session:
        PaymentStore(session).add(first)

    with pytest.raises(IntegrityError, match="pk_payments"):
        async with database.begin() as session:
            PaymentStore(session).add(second)


@pytest.mark.parametrize(
    "change",
    [
        "amount = 0",
        "refunded_amount = 2599",
        "refunded_amount = 2000, refunding_amount = 599",
        "refunding_amount = -1",
    ],
)
async def test_the_database_itself_refuses_amounts_that_cannot_be(database: Database, change: str) -> None:
    written = payment()
    async with database.begin() as session:
        PaymentStore(session).add(written)

    with pytest.raises(IntegrityError, match="ck_payments_"):
        async with database.begin() as session:
            await session.execute(text(f"UPDATE payments SET {change} WHERE id = :id"), {"id": written.id})


async def test_two_that_look_for_due_payments_never_get_the_same(database: Database) -> None:
    written = [payment(due_at=FUTURE + timedelta(seconds=number)) for number in range(4)]
    ids = {one.id for one in written}
    async with database.begin() as session:
        for one in written:
            PaymentStore(session).add(one)
    now = FUTURE + timedelta(days=1)

    async with asyncio.timeout(10), database.begin() as one_session, database.begin() as other_session:
        first = await PaymentStore(one_session).due(now, 2)
        second = await PaymentStore(other_session).due(now, 1000)

    assert len(first) == 2
    assert not {found.id for found in first} & {found.id for found in second}
    assert ids <= {found.id for found in [*first, *second]}


async def test_due_refunds_come_with_the_providers_reference_of_their_charge(database: Database) -> None:
    paid = payment()
    paid.complete("ch_7", FUTURE)
    refund = paid.refund(100, "customer", "somebody", {}, FUTURE)
    async with database.begin() as session:
        PaymentStore(session).add(paid)
    async with database.begin() as session:
        RefundStore(session).add(refund)

    async with database.begin() as session:
        due = await RefundStore(session).due(FUTURE, 1000)

    assert [(found.id, reference) for found, reference in due if found.id == refund.id] == [(refund.id, "ch_7")]


async def test_a_cancellation_waits_for_a_reservation_of_the_same_order_at_another_instance(
    service: Service, database: Database, fleet: Fleet
) -> None:
    """Neither sees what the other has not committed yet: unless one waits, an order that has ended is charged."""
    payments: PaymentService = service.app.state.payments
    order_id = uuid4()

    async def cancel() -> None:
        async with database.shared() as session:
            kept = await PaymentStore(session).preload([order_id])
            await payments.cancel_payment(order_id, "customer", "somebody")
            del kept

    async with database.shared() as session:
        kept = await PaymentStore(session).preload([order_id])
        await payments.request_payment(
            order_id=order_id, customer_id=uuid4(), amount=1, currency="EUR", payment_method="card-ok"
        )
        await session.flush()
        cancelling = asyncio.create_task(cancel())
        await until(lambda: _waits_for_a_lock(database))
        assert not cancelling.done()
        del kept
    await cancelling

    async with database.begin() as session:
        known = await PaymentStore(session).get_locked_by_order(order_id)
    assert known is not None
    assert known.cancel_reason == "customer"


async def _waits_for_a_lock(database: Database) -> bool:
    async with database.engine.connect() as connection:
        waiting = await connection.scalar(
            text(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()"
            )
        )
    return bool(waiting)

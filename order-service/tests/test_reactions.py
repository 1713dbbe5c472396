"""What order-service does when it hears of an order's stock and payment: an event in, the state and the events out."""

from datetime import timedelta
from uuid import uuid4

import pytest
from chassis.database import Database
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from sqlalchemy import update
from support.fleet import Fleet

from order_service.settings import Settings
from order_service.storage import orders

Service = ServiceUnderTest[Settings]


async def test_reserved_stock_gives_the_order_its_prices(fleet: Fleet) -> None:
    order = await fleet.place()

    await fleet.reserve(order)

    reserved = await fleet.becomes(order, "RESERVED")
    assert reserved["total"] == 2598
    assert reserved["lines"] == [{**order["lines"][0], "unit_price": 1299}]


async def test_a_completed_payment_confirms_the_order_s1(service: Service, fleet: Fleet) -> None:
    order = await fleet.place()
    await fleet.reserve(order)

    await fleet.complete_payment(order)

    assert await service.said.wait_for("order.confirmed.v1", order["id"]) == {"order_id": order["id"], "total": 2598}
    assert (await fleet.get(order))["status"] == "CONFIRMED"


@pytest.mark.parametrize("reason", ["out-of-stock", "unknown-product", "currency-mismatch"])
async def test_rejected_stock_cancels_the_order(service: Service, fleet: Fleet, reason: str) -> None:
    order = await fleet.place()

    await fleet.reject(order, reason)

    told = await service.said.wait_for("order.cancelled.v1", order["id"])
    assert told["reason"] == reason
    assert (await fleet.get(order))["status_reason"] == reason


async def test_a_failed_payment_cancels_the_order_s2(service: Service, fleet: Fleet) -> None:
    order = await fleet.place()
    await fleet.reserve(order)

    await fleet.fail_payment(order)

    told = await service.said.wait_for("order.cancelled.v1", order["id"])
    assert told == {"order_id": order["id"], "reason": "payment-failed", "cancelled_by": "payment-service"}


async def test_an_event_that_comes_twice_changes_things_once_k5(service: Service, fleet: Fleet) -> None:
    order = await fleet.place()
    reserved, paid = uuid7(), uuid7()

    for _ in range(3):
        await fleet.reserve(order, event_id=reserved)
        await fleet.complete_payment(order, event_id=paid)
    await fleet.has_heard(order, await fleet.release(order, "cancelled"))

    assert [envelope.type for envelope in service.said.of(order["id"])].count("order.confirmed.v1") == 1
    assert (await fleet.get(order))["status"] == "CONFIRMED"


async def test_a_reservation_that_ran_out_cancels_even_a_paid_order(service: Service, fleet: Fleet) -> None:
    order = await fleet.confirmed()

    await fleet.release(order, "expired")

    cancelled = await fleet.becomes(order, "CANCELLED")
    assert cancelled["status_reason"] == "timed-out"
    await service.said.wait_for("order.cancelled.v1", order["id"])


async def test_stock_released_for_other_reasons_changes_nothing(fleet: Fleet) -> None:
    order = await fleet.confirmed()

    await fleet.has_heard(order, await fleet.release(order, "cancelled"))

    assert (await fleet.get(order))["status"] == "CONFIRMED"


async def test_an_order_past_its_deadline_is_timed_out_s8(service: Service, fleet: Fleet) -> None:
    order = await fleet.place()
    await fleet.reserve(order)
    await fleet.becomes(order, "RESERVED")

    await _let_deadline_pass(service, order["id"])

    told = await service.said.wait_for("order.cancelled.v1", order["id"])
    assert told == {"order_id": order["id"], "reason": "timed-out", "cancelled_by": "order-service"}
    assert (await fleet.get(order))["status_reason"] == "timed-out"


async def test_a_confirmed_order_has_no_deadline_any_more(service: Service, fleet: Fleet) -> None:
    order = await fleet.confirmed()
    await _let_deadline_pass(service, order["id"])
    other = await fleet.place()
    await _let_deadline_pass(service, other["id"])

    await fleet.becomes(other, "CANCELLED")

    assert (await fleet.get(order))["status"] == "CONFIRMED"


async def test_success_that_comes_after_the_end_changes_nothing_s5(service: Service, fleet: Fleet) -> None:
    order = await fleet.place()
    await fleet.reject(order)
    await fleet.becomes(order, "CANCELLED")

    await fleet.reserve(order)
    await fleet.has_heard(order, await fleet.complete_payment(order))

    assert (await fleet.get(order))["status"] == "CANCELLED"
    assert [envelope.type for envelope in service.said.of(order["id"])].count("order.cancelled.v1") == 1


async def test_an_event_of_an_order_that_is_not_known_holds_nothing_up(fleet: Fleet) -> None:
    unknown = {"id": str(uuid7()), "lines": [{"product_id": str(uuid4()), "quantity": 1}]}
    await fleet.reserve(unknown)
    await fleet.fail_payment(unknown)

    await fleet.confirmed()


async def _let_deadline_pass(service: Service, order_id: str) -> None:
    database: Database = service.app.state.database
    async with database.begin() as session:
        await session.execute(
            update(orders).where(orders.c.id == order_id).values(deadline=orders.c.deadline - timedelta(hours=1))
        )

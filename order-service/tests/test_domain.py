"""The life cycle of an order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain import CancelReason, Order, OrderLine, OrderStatus
from order_service.errors import OrderNotCancellable, OrderNotDeliverable, OrderNotShippable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCT = uuid4()


def placed() -> Order:
    return Order.place(
        customer_id=uuid4(),
        currency="EUR",
        payment_method="card-ok",
        lines=[OrderLine(PRODUCT, 2)],
        now=NOW,
        time_to_confirm=timedelta(minutes=1),
    )


def confirmed() -> Order:
    order = placed()
    order.reserve({PRODUCT: 100}, 200, NOW)
    order.confirm(200, NOW)
    return order


def test_a_new_order_has_a_deadline_and_no_prices() -> None:
    order = placed()

    assert order.status == OrderStatus.PLACED
    assert order.deadline == NOW + timedelta(minutes=1)
    assert order.total is None
    assert order.lines[0].unit_price is None


def test_a_reserved_order_knows_its_prices() -> None:
    order = placed()

    assert order.reserve({PRODUCT: 100}, 200, NOW)

    assert order.status == OrderStatus.RESERVED
    assert order.total == 200
    assert order.lines[0].unit_price == 100


def test_a_payment_that_is_heard_before_the_reservation_confirms_all_the_same() -> None:
    order = placed()

    assert order.confirm(200, NOW)
    assert order.reserve({PRODUCT: 100}, 200, NOW)

    assert order.status == OrderStatus.CONFIRMED
    assert order.lines[0].unit_price == 100


def test_a_late_success_does_not_revive_a_cancelled_order() -> None:
    order = placed()
    order.fail(CancelReason.TIMED_OUT, NOW)

    assert not order.reserve({PRODUCT: 100}, 200, NOW)
    assert not order.confirm(200, NOW)

    assert order.status == OrderStatus.CANCELLED
    assert order.status_reason == CancelReason.TIMED_OUT


def test_a_paid_order_can_be_cancelled_until_it_is_shipped() -> None:
    order = confirmed()
    assert order.cancel(NOW)
    assert order.status_reason == CancelReason.CUSTOMER

    order = confirmed()
    order.ship("Post", "1", NOW)
    with pytest.raises(OrderNotCancellable, match="SHIPPED"):
        order.cancel(NOW)


def test_a_paid_order_that_loses_its_stock_is_cancelled() -> None:
    order = confirmed()

    assert order.lose_stock(NOW)

    assert order.status_reason == CancelReason.TIMED_OUT


def test_only_a_confirmed_order_is_shipped_and_only_a_shipped_one_delivered() -> None:
    order = placed()
    with pytest.raises(OrderNotShippable):
        order.ship("Post", "1", NOW)
    with pytest.raises(OrderNotDeliverable):
        order.deliver(NOW)

    order = confirmed()
    order.ship("Post", "1", NOW)
    order.deliver(NOW)

    assert order.status == OrderStatus.DELIVERED


ALLOWED = {
    (OrderStatus.PLACED, OrderStatus.RESERVED),
    (OrderStatus.PLACED, OrderStatus.CONFIRMED),
    (OrderStatus.RESERVED, OrderStatus.CONFIRMED),
    (OrderStatus.CONFIRMED, OrderStatus.SHIPPED),
    (OrderStatus.SHIPPED, OrderStatus.DELIVERED),
    (OrderStatus.PLACED, OrderStatus.CANCELLED),
    (OrderStatus.RESERVED, OrderStatus.CANCELLED),
    (OrderStatus.CONFIRMED, OrderStatus.CANCELLED),
}


@given(st.lists(st.sampled_from(["reserve", "confirm", "fail", "lose", "cancel", "ship", "deliver"]), max_size=12))
def test_whatever_happens_in_whatever_order_only_the_allowed_transitions_occur(happenings: list[str]) -> None:
    order = placed()
    statuses = [order.status]
    for happening in happenings:
        try:
            match happening:
                case "reserve":
                    order.reserve({PRODUCT: 100}, 200, NOW)
                case "confirm":
                    order.confirm(200, NOW)
                case "fail":
                    order.fail(CancelReason.PAYMENT_FAILED, NOW)
                case "lose":
                    order.lose_stock(NOW)
                case "cancel":
                    order.cancel(NOW)
                case "ship":
                    order.ship("Post", "1", NOW)
                case "deliver":
                    order.deliver(NOW)
        except (OrderNotCancellable, OrderNotShippable, OrderNotDeliverable):
            pass
        if order.status != statuses[-1]:
            statuses.append(order.status)

    assert set(pairwise(statuses)) <= ALLOWED
    assert (order.status_reason is not None) == (order.status == OrderStatus.CANCELLED)

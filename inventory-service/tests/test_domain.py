"""The stock of products, and the life cycle of a reservation."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_service.domain import (
    Product,
    RejectReason,
    ReleaseReason,
    Reservation,
    ReservationLine,
    ReservationStatus,
    Shortage,
    shortages,
)
from inventory_service.errors import NotEnoughStock, ProductInOrders

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ADMIN = uuid4()


def stocked(on_hand: int = 10, *, price: int = 100, currency: str = "EUR", reorder_level: int = 0) -> Product:
    product = Product.create(
        sku="MUG", name="Mug", description="", price=price, currency=currency, reorder_level=reorder_level, now=NOW
    )
    if on_hand:
        product.adjust(on_hand, "bought in", ADMIN, NOW)
    return product


def by_id(*products: Product) -> dict[UUID, Product]:
    return {product.id: product for product in products}


def reserve(products: Mapping[UUID, Product], *lines: tuple[UUID, int]) -> Reservation:
    return Reservation.reserve(
        order_id=uuid4(),
        customer_id=uuid4(),
        currency="EUR",
        lines=[ReservationLine(product_id, quantity) for product_id, quantity in lines],
        products=products,
        expires_at=LATER,
        now=NOW,
    )


class TestReserve:
    def test_all_lines_are_held_at_the_prices_of_now(self) -> None:
        mug, lamp = stocked(price=100), stocked(price=250)

        reservation = reserve(by_id(mug, lamp), (mug.id, 2), (lamp.id, 3))

        assert reservation.status == ReservationStatus.HELD
        assert [line.unit_price for line in reservation.lines] == [100, 250]
        assert reservation.total == 950
        assert [(product.on_hand, product.reserved, product.available) for product in (mug, lamp)] == [
            (10, 2, 8),
            (10, 3, 7),
        ]

    def test_the_last_piece_can_be_had_and_one_more_can_not(self) -> None:
        product = stocked(10)

        assert reserve(by_id(product), (product.id, 10)).status == ReservationStatus.HELD
        assert reserve(by_id(product), (product.id, 1)).reason == RejectReason.OUT_OF_STOCK

    def test_one_short_line_takes_nothing_of_the_others(self) -> None:
        plenty, few = stocked(10), stocked(1)

        reservation = reserve(by_id(plenty, few), (plenty.id, 2), (few.id, 2))

        assert reservation.status == ReservationStatus.REJECTED
        assert (plenty.reserved, few.reserved) == (0, 0)
        assert shortages(reservation.lines, by_id(plenty, few)) == [Shortage(few.id, 2, 1)]

    def test_lines_of_the_same_product_count_together(self) -> None:
        product = stocked(3)

        reservation = reserve(by_id(product), (product.id, 2), (product.id, 2))

        assert reservation.reason == RejectReason.OUT_OF_STOCK
        assert shortages(reservation.lines, by_id(product)) == [Shortage(product.id, 4, 3)]

    def test_an_unknown_product_is_said_before_anything_else(self) -> None:
        foreign = stocked(0, currency="USD")

        assert reserve(by_id(foreign), (foreign.id, 1), (uuid4(), 1)).reason == RejectReason.UNKNOWN_PRODUCT
        assert reserve(by_id(foreign), (foreign.id, 1)).reason == RejectReason.CURRENCY_MISMATCH


class TestLifeCycle:
    def test_a_payment_takes_the_stock_and_a_cancellation_puts_it_back(self) -> None:
        product = stocked(10)
        reservation = reserve(by_id(product), (product.id, 4))

        assert reservation.commit(by_id(product), NOW)
        assert (product.on_hand, product.reserved, product.committed) == (6, 0, 4)

        assert reservation.release(ReleaseReason.CANCELLED, by_id(product), LATER)
        assert (product.on_hand, product.reserved, product.committed) == (10, 0, 0)
        assert (reservation.status, reservation.reason) == (ReservationStatus.RELEASED, ReleaseReason.CANCELLED)
        assert reservation.updated_at == LATER

    @pytest.mark.parametrize("reason", list(ReleaseReason))
    def test_what_is_held_is_released_for_any_reason_once(self, reason: ReleaseReason) -> None:
        product = stocked(10)
        reservation = reserve(by_id(product), (product.id, 4))

        assert reservation.release(reason, by_id(product), NOW)
        assert not reservation.release(ReleaseReason.CANCELLED, by_id(product), NOW)

        assert (product.on_hand, product.reserved) == (10, 0)
        assert reservation.reason == reason

    @pytest.mark.parametrize("reason", [ReleaseReason.PAYMENT_FAILED, ReleaseReason.EXPIRED])
    def test_what_is_paid_is_not_released_by_what_came_too_late(self, reason: ReleaseReason) -> None:
        product = stocked(10)
        reservation = reserve(by_id(product), (product.id, 4))
        reservation.commit(by_id(product), NOW)

        assert not reservation.release(reason, by_id(product), NOW)

        assert product.on_hand == 6

    def test_what_is_shipped_is_gone_for_good(self) -> None:
        product = stocked(10)
        reservation = reserve(by_id(product), (product.id, 4))
        reservation.commit(by_id(product), NOW)

        assert reservation.ship(by_id(product), NOW)
        assert not reservation.release(ReleaseReason.CANCELLED, by_id(product), NOW)

        assert (product.on_hand, product.committed) == (6, 0)

    def test_only_what_is_paid_is_shipped(self) -> None:
        product = stocked(10)

        assert not reserve(by_id(product), (product.id, 4)).ship(by_id(product), NOW)


class TestProduct:
    def test_an_adjustment_never_goes_below_what_is_reserved(self) -> None:
        product = stocked(10)
        reserve(by_id(product), (product.id, 4))

        with pytest.raises(NotEnoughStock, match="at most 6"):
            product.adjust(-7, "lost", ADMIN, NOW)
        adjustment = product.adjust(-6, "lost", ADMIN, NOW)

        assert (adjustment.delta, adjustment.on_hand) == (-6, 4)
        assert product.available == 0

    def test_it_is_low_from_its_reorder_level_on(self) -> None:
        product = stocked(6, reorder_level=5)
        assert not product.is_low

        reserve(by_id(product), (product.id, 1))

        assert product.is_low

    @pytest.mark.parametrize("is_paid", [False, True])
    def test_neither_its_currency_nor_its_place_can_go_while_orders_hold_some(self, is_paid: bool) -> None:
        product = stocked(10)
        reservation = reserve(by_id(product), (product.id, 1))
        if is_paid:
            reservation.commit(by_id(product), NOW)

        with pytest.raises(ProductInOrders):
            product.check_deletable()
        with pytest.raises(ProductInOrders):
            edit(product, currency="USD")
        edit(product, currency="EUR")

        reservation.release(ReleaseReason.CANCELLED, by_id(product), NOW)
        product.check_deletable()
        edit(product, currency="USD")
        assert product.currency == "USD"

    def test_what_an_edit_leaves_out_stays(self) -> None:
        product = stocked(reorder_level=3)

        edit(product, currency=None)

        assert (product.name, product.price) == ("Cup", 200)
        assert (product.description, product.currency, product.reorder_level) == ("", "EUR", 3)


def edit(product: Product, *, currency: str | None) -> None:
    product.edit(sku="CUP", name="Cup", price=200, description=None, currency=currency, reorder_level=None, now=LATER)


Happening = tuple[str, int, int]
happenings = st.tuples(
    st.sampled_from(["reserve", "reserve", "commit", "cancel", "fail", "expire", "ship", "adjust"]),
    st.integers(0, 5),
    st.integers(-8, 8),
)


@given(st.lists(happenings, max_size=60))
def test_whatever_happens_in_whatever_order_stock_is_neither_made_nor_lost_nor_oversold(story: list[Happening]) -> None:
    pair = stocked(10), stocked(5)
    products = by_id(*pair)
    given_in = {pair[0].id: 10, pair[1].id: 5}
    shipped = dict.fromkeys(products, 0)
    orders: list[Reservation] = []

    for what, which, amount in story:
        product = pair[which % 2]
        if what == "reserve":
            lines = [(product.id, abs(amount) + 1)] + ([(pair[0].id, 1)] if which > 2 else [])
            orders.append(reserve(products, *lines))
        elif what == "adjust":
            try:
                product.adjust(amount, "counted", ADMIN, NOW)
                given_in[product.id] += amount
            except NotEnoughStock:
                assert amount < -product.available
        elif orders:
            order = orders[which % len(orders)]
            match what:
                case "commit":
                    order.commit(products, NOW)
                case "cancel":
                    order.release(ReleaseReason.CANCELLED, products, NOW)
                case "fail":
                    order.release(ReleaseReason.PAYMENT_FAILED, products, NOW)
                case "expire":
                    order.release(ReleaseReason.EXPIRED, products, NOW)
                case "ship":
                    if order.ship(products, NOW):
                        for line in order.lines:
                            shipped[line.product_id] += line.quantity

        for product in pair:
            assert 0 <= product.reserved <= product.on_hand
            assert product.reserved == in_lines(orders, ReservationStatus.HELD, product)
            assert product.committed == in_lines(orders, ReservationStatus.COMMITTED, product)
            assert product.on_hand + product.committed + shipped[product.id] == given_in[product.id]


def in_lines(orders: list[Reservation], status: ReservationStatus, product: Product) -> int:
    return sum(
        line.quantity
        for order in orders
        if order.status == status
        for line in order.lines
        if line.product_id == product.id
    )

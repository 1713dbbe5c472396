"""What inventory-service does when it hears of an order and its payment: an event in, the state and the events out."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from chassis.database import Database
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from sqlalchemy import update
from support.fleet import Fleet, Json

from inventory_service.domain import ReservationLine
from inventory_service.service import InventoryService
from inventory_service.settings import Settings
from inventory_service.storage import reservations

Service = ServiceUnderTest[Settings]


class TestOrderPlaced:
    async def test_the_stock_of_an_order_is_held_at_todays_prices(self, service: Service, fleet: Fleet) -> None:
        mug, lamp = await fleet.create(price=1299), await fleet.create(price=5000)
        order = fleet.order(mug, lamp, quantity=3)

        await fleet.place(order)

        told = await service.said.wait_for("inventory.stock-reserved.v1", order["order_id"])
        expires_at = datetime.fromisoformat(told.pop("expires_at"))
        assert expires_at == datetime.fromisoformat(order["deadline"]) + timedelta(seconds=30)
        assert told == {
            "order_id": order["order_id"],
            "customer_id": order["customer_id"],
            "payment_method": "card-ok",
            "currency": "EUR",
            "lines": [
                {"product_id": mug["id"], "quantity": 3, "unit_price": 1299},
                {"product_id": lamp["id"], "quantity": 3, "unit_price": 5000},
            ],
            "total": 18_897,
        }
        assert await fleet.stock(mug) == (20, 3)

    async def test_an_order_that_asks_for_too_much_is_told_what_is_short_and_takes_nothing_s3(
        self, service: Service, fleet: Fleet
    ) -> None:
        plenty, few, none = await fleet.create(), await fleet.create(on_hand=1), await fleet.create(on_hand=0)
        order = fleet.order(plenty, few, none)

        await fleet.place(order)

        assert await service.said.wait_for("inventory.stock-rejected.v1", order["order_id"]) == {
            "order_id": order["order_id"],
            "reason": "out-of-stock",
            "shortages": [
                {"product_id": few["id"], "requested": 2, "available": 1},
                {"product_id": none["id"], "requested": 2, "available": 0},
            ],
        }
        assert [await fleet.stock(product) for product in (plenty, few, none)] == [(20, 0), (1, 0), (0, 0)]
        rejected = await fleet.becomes(order, "REJECTED")
        assert (rejected["reason"], rejected["total"]) == ("out-of-stock", None)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"lines": [{"product_id": str(uuid4()), "quantity": 1}]}, "unknown-product"),
            ({"currency": "USD"}, "currency-mismatch"),
        ],
    )
    async def test_an_order_that_does_not_fit_the_catalogue_is_rejected(
        self, service: Service, fleet: Fleet, changes: Json, reason: str
    ) -> None:
        product = await fleet.create()
        order = fleet.order(product, **changes)

        await fleet.place(order)

        told = await service.said.wait_for("inventory.stock-rejected.v1", order["order_id"])
        assert told == {"order_id": order["order_id"], "reason": reason, "shortages": []}
        assert await fleet.stock(product) == (20, 0)

    async def test_sixty_orders_at_once_for_twenty_get_exactly_twenty_s7(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=20)
        orders = [fleet.order(product, quantity=1) for _ in range(60)]

        heard = await asyncio.gather(*(fleet.place(order) for order in orders))

        await fleet.has_heard(*heard)
        statuses = [(await fleet.becomes(order, "HELD", "REJECTED"))["status"] for order in orders]
        assert (statuses.count("HELD"), statuses.count("REJECTED")) == (20, 40)
        assert await fleet.stock(product) == (20, 20)
        await service.said.wait_for("inventory.stock-low.v1", product["id"])

    async def test_sixty_transactions_at_once_as_of_many_instances_get_exactly_twenty_s7(
        self, service: Service, fleet: Fleet
    ) -> None:
        pair = [await fleet.create(on_hand=20), await fleet.create(on_hand=30)]
        inventory: InventoryService = service.app.state.inventory
        orders = [fleet.order(*(pair if number % 2 else reversed(pair)), quantity=1) for number in range(60)]

        await asyncio.gather(
            *(
                inventory.reserve_stock(
                    order_id=UUID(order["order_id"]),
                    customer_id=uuid4(),
                    currency="EUR",
                    payment_method="card-ok",
                    lines=[ReservationLine(UUID(line["product_id"]), 1) for line in order["lines"]],
                    deadline=datetime.now(UTC),
                )
                for order in orders
            )
        )

        statuses = [(await fleet.becomes(order, "HELD", "REJECTED"))["status"] for order in orders]
        assert (statuses.count("HELD"), statuses.count("REJECTED")) == (20, 40)
        assert [await fleet.stock(product) for product in pair] == [(20, 20), (30, 20)]

    async def test_orders_for_the_same_products_in_any_order_all_get_through_beside_adjustments(
        self, fleet: Fleet
    ) -> None:
        first, second = await fleet.create(on_hand=100), await fleet.create(on_hand=100)
        orders = [fleet.order(*pair, quantity=1) for _ in range(15) for pair in ((first, second), (second, first))]

        heard, answers = await asyncio.gather(
            asyncio.gather(*(fleet.place(order) for order in orders)),
            asyncio.gather(*(_adjust(fleet, product, -1) for _ in range(10) for product in (first, second))),
        )

        await fleet.has_heard(*heard)
        assert set(answers) == {201}
        assert [await fleet.stock(product) for product in (first, second)] == [(90, 30), (90, 30)]

    async def test_a_later_price_is_not_that_of_the_order_s11(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create(price=1299)
        order = await fleet.reserved(product)

        await fleet.ask("PUT", f"/products/{product['id']}", {"sku": product["sku"], "name": "Mug", "price": 9999})
        await fleet.complete_payment(order)

        paid = await fleet.becomes(order, "COMMITTED")
        assert (paid["total"], paid["lines"][0]["unit_price"]) == (2598, 1299)
        assert (await fleet.ask("GET", f"/products/{product['id']}")).json()["price"] == 9999

    async def test_a_placing_that_comes_again_under_another_id_changes_nothing_k12(self, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)
        await fleet.cancel(order)
        await fleet.becomes(order, "RELEASED")

        await fleet.has_heard(await fleet.place(order))

        assert await fleet.stock(product) == (20, 0)
        assert fleet.told(order) == ["inventory.stock-reserved.v1", "inventory.stock-released.v1"]

    @pytest.mark.parametrize("quantity", [0, -5])
    async def test_a_quantity_that_can_not_be_goes_to_the_dead_letters_and_the_next_order_goes_on(
        self, service: Service, fleet: Fleet, quantity: int
    ) -> None:
        product = await fleet.create()
        impossible = fleet.order(product, quantity=quantity)

        await fleet.place(impossible)

        assert await service.said.wait_for("order.placed.v1", impossible["order_id"], count=2) == impossible
        await fleet.reserved(product)
        assert await fleet.stock(product) == (20, 2)

    async def test_a_quantity_beyond_all_bounds_is_out_of_stock(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = fleet.order(product, quantity=10**30)

        await fleet.place(order)

        told = await service.said.wait_for("inventory.stock-rejected.v1", order["order_id"])
        assert told["shortages"] == [{"product_id": product["id"], "requested": 10**30, "available": 20}]

    async def test_running_low_is_told_when_the_level_is_reached_and_not_again(
        self, service: Service, fleet: Fleet
    ) -> None:
        product = await fleet.create(on_hand=10, reorder_level=6)

        await fleet.reserved(product)
        assert "inventory.stock-low.v1" not in fleet.told(product)
        order = await fleet.reserved(product)
        await fleet.reserved(product)

        assert await service.said.wait_for("inventory.stock-low.v1", product["id"]) == {
            "product_id": product["id"],
            "on_hand": 10,
            "reserved": 4,
            "reorder_level": 6,
        }
        await fleet.cancel(order)
        await fleet.becomes(order, "RELEASED")
        assert fleet.told(product).count("inventory.stock-low.v1") == 1


class TestPayment:
    async def test_a_completed_payment_takes_the_stock(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)

        await fleet.complete_payment(order)

        told = await service.said.wait_for("inventory.stock-committed.v1", order["order_id"])
        assert told == {"order_id": order["order_id"]}
        assert await fleet.stock(product) == (18, 0)

    async def test_a_failed_payment_releases_the_stock_s2(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)

        await fleet.fail_payment(order)

        told = await service.said.wait_for("inventory.stock-released.v1", order["order_id"])
        assert told == {"order_id": order["order_id"], "reason": "payment-failed"}
        assert await fleet.stock(product) == (20, 0)

    async def test_a_payment_that_comes_after_the_release_changes_nothing_s5(self, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)
        await fleet.cancel(order)
        await fleet.becomes(order, "RELEASED")

        await fleet.has_heard(await fleet.complete_payment(order), await fleet.fail_payment(order))

        assert await fleet.stock(product) == (20, 0)
        assert fleet.told(order) == ["inventory.stock-reserved.v1", "inventory.stock-released.v1"]

    async def test_a_failure_that_comes_after_the_payment_changes_nothing(self, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.committed(product)

        await fleet.has_heard(await fleet.fail_payment(order))

        assert await fleet.stock(product) == (18, 0)

    async def test_events_that_come_twice_change_things_once_k5(self, fleet: Fleet) -> None:
        product = await fleet.create()
        order = fleet.order(product)
        placed, paid, cancelled = uuid7(), uuid7(), uuid7()

        for _ in range(3):
            await fleet.place(order, event_id=placed)
        await fleet.becomes(order, "HELD")
        for _ in range(3):
            await fleet.complete_payment(order, event_id=paid)
        await fleet.becomes(order, "COMMITTED")
        for _ in range(3):
            await fleet.cancel(order, event_id=cancelled)
        await fleet.becomes(order, "RELEASED")
        await fleet.has_heard(await fleet.ship(order), await fleet.complete_payment(order))

        assert await fleet.stock(product) == (20, 0)
        assert fleet.told(order) == [
            "inventory.stock-reserved.v1",
            "inventory.stock-committed.v1",
            "inventory.stock-released.v1",
        ]


class TestOrderCancelled:
    async def test_before_it_is_paid_the_stock_is_released(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)

        await fleet.cancel(order)

        told = await service.said.wait_for("inventory.stock-released.v1", order["order_id"])
        assert told == {"order_id": order["order_id"], "reason": "cancelled"}
        assert await fleet.stock(product) == (20, 0)

    async def test_after_it_is_paid_the_stock_is_put_back(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.committed(product)
        assert await fleet.stock(product) == (18, 0)

        await fleet.cancel(order)

        told = await service.said.wait_for("inventory.stock-released.v1", order["order_id"])
        assert told == {"order_id": order["order_id"], "reason": "cancelled"}
        assert await fleet.stock(product) == (20, 0)

    async def test_at_once_after_the_placing_the_stock_is_free(self, fleet: Fleet) -> None:
        product = await fleet.create()
        orders = [fleet.order(product, quantity=20) for _ in range(10)]

        for order in orders:
            await fleet.place(order)
            await fleet.cancel(order)

        # One topic, one key each: whatever batches they come in, each ends released or rejected.
        ends = [(await fleet.becomes(order, "RELEASED", "REJECTED"))["status"] for order in orders]
        assert "RELEASED" in ends
        assert await fleet.stock(product) == (20, 0)

    async def test_a_shipped_order_gives_nothing_back(self, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.committed(product)
        await fleet.ship(order)
        await fleet.becomes(order, "SHIPPED")

        await fleet.has_heard(await fleet.cancel(order))

        assert await fleet.stock(product) == (18, 0)

    async def test_an_order_that_got_nothing_has_nothing_to_give_back(self, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=1)
        rejected, unknown = fleet.order(product), fleet.order(product)
        await fleet.place(rejected)

        await fleet.has_heard(await fleet.cancel(rejected), await fleet.cancel(unknown), await fleet.ship(unknown))

        assert await fleet.stock(product) == (1, 0)
        assert fleet.told(rejected) == ["inventory.stock-rejected.v1"]
        assert fleet.told(unknown) == []


class TestExpiry:
    async def test_stock_that_is_held_past_its_time_is_released_s8(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        order = await fleet.reserved(product)

        await _let_time_pass(service, order)

        told = await service.said.wait_for("inventory.stock-released.v1", order["order_id"])
        assert told == {"order_id": order["order_id"], "reason": "expired"}
        assert await fleet.stock(product) == (20, 0)

    async def test_stock_that_is_paid_does_not_expire(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create()
        paid, held = await fleet.committed(product), await fleet.reserved(product)

        await _let_time_pass(service, paid, held)
        await fleet.becomes(held, "RELEASED")

        assert await fleet.stock(product) == (18, 0)

    async def test_several_timers_release_each_reservation_once(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=30)
        orders = [await fleet.reserved(product) for _ in range(10)]
        inventory: InventoryService = service.app.state.inventory

        await _let_time_pass(service, *orders)
        await asyncio.gather(*(inventory.release_expired_stock() for _ in range(5)))

        for order in orders:
            await service.said.wait_for("inventory.stock-released.v1", order["order_id"])
        assert await fleet.stock(product) == (30, 0)
        assert {fleet.told(order).count("inventory.stock-released.v1") for order in orders} == {1}


async def _adjust(fleet: Fleet, product: Json, delta: int) -> int:
    body = {"delta": delta, "reason": "counted"}
    return (await fleet.ask("POST", f"/products/{product['id']}/adjustments", body)).status_code


async def _let_time_pass(service: Service, *orders: Json) -> None:
    database: Database = service.app.state.database
    async with database.begin() as session:
        await session.execute(
            update(reservations)
            .where(reservations.c.order_id.in_([order["order_id"] for order in orders]))
            .values(expires_at=reservations.c.expires_at - timedelta(hours=1))
        )

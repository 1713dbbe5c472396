"""Purchases through the gateway of the whole fleet, from the log-in to the end of the order, and what goes wrong."""

import asyncio
import os
import signal
from pathlib import Path
from uuid import uuid4

import pytest
from support.storefront import Json, Storefront

_OVER_THE_LIMIT_BYTES = 2_000_000


class TestPurchase:
    async def test_an_order_in_stock_with_a_good_card_is_confirmed_s1(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=5), await shop.customer()

        order = await shop.order(product, customer, quantity=2)
        confirmed = await shop.at_rest(order, timeout_seconds=5)

        assert (confirmed["status"], confirmed["total"]) == ("CONFIRMED", 2598)
        assert confirmed["lines"] == [{"product_id": product["id"], "quantity": 2, "unit_price": 1299}]
        [payment] = await shop.payments(order)
        assert (payment["status"], payment["amount"], payment["currency"]) == ("SUCCEEDED", 2598, "EUR")
        assert (await shop.stock_becomes(product, 3))["on_hand"] == 3

    async def test_an_order_out_of_stock_is_cancelled_and_never_charged_s3(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=1), await shop.customer()

        order = await shop.at_rest(await shop.order(product, customer, quantity=2))

        assert (order["status"], order["status_reason"]) == ("CANCELLED", "out-of-stock")
        assert await shop.payments(order) == []
        assert (await shop.stock(product))["available"] == 1

    async def test_an_order_of_a_product_that_is_not_there_is_cancelled(self, shop: Storefront) -> None:
        order = await shop.at_rest(await shop.order({"id": str(uuid4())}, await shop.customer()))

        assert (order["status"], order["status_reason"]) == ("CANCELLED", "unknown-product")

    @pytest.mark.parametrize(
        ("method", "reason"),
        [
            ("card-declined", "declined"),
            ("card-insufficient-funds", "insufficient-funds"),
            ("card-expired", "expired-card"),
        ],
    )
    async def test_a_declined_payment_cancels_the_order_and_frees_the_stock_s2(
        self, shop: Storefront, method: str, reason: str
    ) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()

        order = await shop.at_rest(await shop.order(product, customer, payment_method=method))

        assert (order["status"], order["status_reason"]) == ("CANCELLED", "payment-failed")
        [payment] = await shop.payments(order)
        assert (payment["status"], payment["failure_reason"]) == ("FAILED", reason)
        await shop.stock_becomes(product, 3)

    async def test_a_provider_that_loses_its_answer_charges_once(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()

        order = await shop.at_rest(await shop.order(product, customer, payment_method="provider-lost"))

        assert order["status"] == "CONFIRMED"
        assert [payment["status"] for payment in await shop.payments(order)] == ["SUCCEEDED"]

    async def test_a_paid_order_that_is_cancelled_is_refunded_and_its_stock_put_back(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()
        order = await shop.at_rest(await shop.order(product, customer, quantity=2))
        await shop.stock_becomes(product, 1)

        cancelled = await shop.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=customer)

        assert (cancelled.json()["status"], cancelled.json()["status_reason"]) == ("CANCELLED", "customer")
        payment = await shop.settled_payment(order, "REFUNDED")
        assert payment["refunded_amount"] == payment["amount"] == 2598
        await shop.stock_becomes(product, 3)
        await shop.is_on_timeline(order, "payment.refunded.v1")

    async def test_an_order_cancelled_before_it_is_paid_leaves_no_charge_and_no_reservation(
        self, shop: Storefront
    ) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()
        order = await shop.order(product, customer, quantity=2, payment_method="provider-slow")
        await shop.until(order, lambda now: now["status"] == "RESERVED")

        cancelled = await shop.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=customer)

        assert cancelled.json()["status"] == "CANCELLED"
        payment = await shop.settled_payment(order, "VOIDED", "REFUNDED")
        assert payment["status"] == "VOIDED" or payment["refunded_amount"] == payment["amount"]
        await shop.stock_becomes(product, 3)

    async def test_a_shipped_order_is_delivered_and_its_stock_is_gone(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()
        order = await shop.at_rest(await shop.order(product, customer))
        parcel = {"carrier": "Parcel Post", "tracking_number": "PP1"}

        shipped = await shop.client.post(f"/api/v1/orders/{order['id']}/ship", json=parcel, headers=shop.admin)
        refused = await shop.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=customer)
        delivered = await shop.client.post(f"/api/v1/orders/{order['id']}/deliver", headers=shop.admin)

        assert (shipped.json()["status"], refused.status_code) == ("SHIPPED", 409)
        assert delivered.json()["status"] == "DELIVERED"
        await shop.stock_becomes(product, 2)

    async def test_the_same_request_twice_is_one_order_i1(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()

        first = await shop.try_order(product, customer, key="the-same")
        again = await shop.try_order(product, customer, key="the-same")

        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"

    async def test_one_trace_goes_through_all_services_s10(self, shop: Storefront) -> None:
        product, customer = await shop.product(stock=3), await shop.customer()
        order = await shop.at_rest(await shop.order(product, customer))

        timeline = await shop.timeline(order)

        assert {entry["source"] for entry in timeline} == {"/order-service", "/inventory-service", "/payment-service"}
        assert len({entry["trace_id"] for entry in timeline}) == 1
        ids = {entry["event_id"] for entry in timeline}
        assert [entry["causation_id"] in ids for entry in timeline] == [False] + [True] * (len(timeline) - 1)


class TestRaces:
    async def test_sixty_buyers_at_once_for_twenty_units_and_twenty_get_one_s7(self, shop: Storefront) -> None:
        product = await shop.product(stock=20)
        customers = await asyncio.gather(*(shop.customer() for _ in range(60)))

        orders = await asyncio.gather(*(shop.order(product, customer) for customer in customers))
        ended = await asyncio.gather(*(shop.at_rest(order, timeout_seconds=30) for order in orders))

        outcomes = [(order["status"], order["status_reason"]) for order in ended]
        assert outcomes.count(("CONFIRMED", None)) == 20
        assert outcomes.count(("CANCELLED", "out-of-stock")) == 40
        assert (await shop.stock_becomes(product, 0))["on_hand"] == 0


class TestDeadlines:
    async def test_an_order_that_nobody_pays_for_is_timed_out_whatever_restarted_meanwhile_s8(
        self, hasty_shop: Storefront
    ) -> None:
        shop = hasty_shop
        product, customer = await shop.product(stock=3), await shop.customer()
        stopped = shop.kill("payment-service", signal.SIGSTOP)
        try:
            order = await shop.order(product, customer, quantity=2)
            await shop.until(order, lambda now: now["status"] == "RESERVED")
            shop.kill("order-service")

            ended = await shop.at_rest(order, timeout_seconds=20)
        finally:
            os.kill(stopped, signal.SIGCONT)

        assert (ended["status"], ended["status_reason"]) == ("CANCELLED", "timed-out")
        await shop.stock_becomes(product, 3)
        payment = await shop.settled_payment(order, "VOIDED", "REFUNDED")
        assert payment["status"] == "VOIDED" or payment["refunded_amount"] == payment["amount"]


class TestSessions:
    async def test_after_logout_the_token_is_dead_at_every_service_at_once_a5(self, shop: Storefront) -> None:
        customer = await shop.customer()
        paths = ["/api/v1/auth/me", "/api/v1/orders", "/api/v1/payments"]
        before = [(await shop.client.get(path, headers=customer)).status_code for path in paths]

        ended = await shop.client.post("/api/v1/auth/logout", headers=customer)

        after = [(await shop.client.get(path, headers=customer)).status_code for path in paths]
        directly = [
            (await shop.client.get(f"{shop.about()['processes'][name][0]['url']}{path}", headers=customer)).status_code
            for name, path in (("order-service", "/api/v1/orders"), ("payment-service", "/api/v1/payments"))
        ]
        assert (before, ended.status_code) == ([200, 200, 200], 204)
        assert after == [401, 401, 401]
        assert directly == [401, 401]

    async def test_somebody_elses_order_and_payment_are_not_there_a9(self, shop: Storefront) -> None:
        product, customer, stranger = await shop.product(stock=3), await shop.customer(), await shop.customer()
        order = await shop.at_rest(await shop.order(product, customer))
        [payment] = await shop.payments(order)

        for path in (
            f"/api/v1/orders/{order['id']}",
            f"/api/v1/orders/{order['id']}/timeline",
            f"/api/v1/payments/{payment['id']}",
            f"/api/v1/inventory/reservations/{order['id']}",
        ):
            assert (await shop.client.get(path, headers=customer)).status_code == 200, path
            assert (await shop.client.get(path, headers=stranger)).status_code == 404, path


class TestBadInput:
    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"",
            b"[]",
            b'{"currency": "EUR", "payment_method": "card-ok", "lines": []}',
            b'{"currency": "XXQ", "payment_method": "card-ok", "lines": [{"product_id": "x", "quantity": 1}]}',
        ],
    )
    async def test_a_body_that_cannot_be_is_a_problem(self, shop: Storefront, body: bytes) -> None:
        headers = await shop.customer() | {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}

        answer = await shop.client.post("/api/v1/orders", content=body, headers=headers)

        _assert_problem(answer.status_code, answer.headers, answer.json())

    async def test_a_body_over_the_limit_is_a_problem(self, shop: Storefront) -> None:
        headers = await shop.customer() | {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}

        answer = await shop.client.post("/api/v1/orders", content=b" " * _OVER_THE_LIMIT_BYTES, headers=headers)

        assert answer.status_code == 413
        _assert_problem(answer.status_code, answer.headers, answer.json())

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/orders/not-a-uuid"),
            ("GET", "/api/v1/orders?limit=-1"),
            ("GET", "/api/v1/orders?cursor=made-up"),
            ("GET", f"/api/v1/inventory/products/{uuid4()}"),
            ("GET", "/api/v1/inventory/products?sort=colour"),
            ("GET", f"/api/v1/payments/{uuid4()}"),
            ("POST", f"/api/v1/orders/{uuid4()}/cancel"),
            ("DELETE", "/api/v1/orders"),
            ("GET", "/nowhere"),
            ("GET", "/no-such-service/x"),
        ],
    )
    async def test_a_request_that_cannot_be_is_a_problem(self, shop: Storefront, method: str, path: str) -> None:
        answer = await shop.client.request(method, path, headers=await shop.customer())

        _assert_problem(answer.status_code, answer.headers, answer.json())

    @pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
    async def test_a_token_that_is_none_is_a_401(self, shop: Storefront, token: str) -> None:
        answer = await shop.client.get("/api/v1/orders", headers={"Authorization": f"Bearer {token}"})

        assert answer.status_code == 401
        _assert_problem(answer.status_code, answer.headers, answer.json())


class TestDoor:
    async def test_a_service_can_be_called_by_its_name(self, shop: Storefront) -> None:
        answer = await shop.client.get("/order-service/api/v1/orders", headers=await shop.customer())

        assert answer.json() == {"items": [], "next_cursor": None}

    async def test_what_services_show_to_operators_is_not_public(self, shop: Storefront) -> None:
        for name in ("order-service", "auth-service"):
            for path in ("actuator/env", "actuator/prometheus", "actuator/health"):
                assert (await shop.client.get(f"/{name}/{path}")).status_code in (401, 403, 404)
                answer = await shop.client.get(f"/{name}/{path}", headers=await shop.customer())
                assert answer.status_code in (403, 404)

    async def test_the_documentation_has_the_calls_of_all_services(self, shop: Storefront) -> None:
        document = (await shop.client.get("/openapi.json")).json()

        for path in ("/api/v1/orders", "/api/v1/auth/login", "/api/v1/inventory/products", "/api/v1/payments"):
            assert path in document["paths"]
        assert (await shop.client.get("/docs")).status_code == 200


class TestFleetFile:
    async def test_only_its_owner_may_read_the_secrets(self, shop: Storefront) -> None:
        assert (Path(shop.home) / ".run" / "fleet.json").stat().st_mode & 0o777 == 0o600


def _assert_problem(status: int, headers: object, document: Json) -> None:
    assert 400 <= status < 500, document
    assert document["status"] == status
    assert document["detail"]
    assert headers["content-type"].startswith("application/problem+json")  # type: ignore[index]  # httpx.Headers

"""Orders over HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from support.fleet import Fleet, Json

from order_service.settings import Settings

Service = ServiceUnderTest[Settings]


class TestPlaceOrder:
    async def test_an_order_is_accepted_and_told(self, service: Service, fleet: Fleet) -> None:
        answer = await fleet.post_order(fleet.order())

        assert answer.status_code == 202
        order = answer.json()
        assert answer.headers["location"] == f"/api/v1/orders/{order['id']}"
        assert order["status"] == "PLACED"
        assert order["total"] is None
        assert order["placed_at"].endswith("Z")
        told = await service.said.wait_for("order.placed.v1", order["id"])
        assert told["lines"] == [{"product_id": fleet.product_id, "quantity": 2}]
        assert told["customer_id"] == order["customer_id"]

    async def test_the_same_key_and_body_answer_the_first_response_again_i1(
        self, service: Service, fleet: Fleet
    ) -> None:
        customer = service.tokens.customer()
        first = await fleet.post_order(fleet.order(), headers=customer, key="k1")

        again = await fleet.post_order(fleet.order(), headers=customer, key="k1")

        assert again.status_code == 202
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        listed = await service.client.get("/api/v1/orders", headers=customer)
        assert len(listed.json()["items"]) == 1

    async def test_the_same_key_with_another_body_is_refused_i2(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        await fleet.post_order(fleet.order(), headers=customer, key="k2")

        answer = await fleet.post_order(fleet.order(payment_method="cash"), headers=customer, key="k2")

        assert answer.status_code == 422
        assert answer.json()["type"].endswith("/idempotency-key-reused")

    async def test_a_key_at_work_many_times_at_once_makes_one_order_i3(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()

        answers = await asyncio.gather(
            *(fleet.post_order(fleet.order(), headers=customer, key="k3") for _ in range(10))
        )

        assert {answer.status_code for answer in answers} <= {202, 409}
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)
        listed = await service.client.get("/api/v1/orders", headers=customer)
        assert len(listed.json()["items"]) == 1

    async def test_two_customers_may_use_the_same_key_i4(self, fleet: Fleet) -> None:
        one = await fleet.post_order(fleet.order(), key="shared")
        other = await fleet.post_order(fleet.order(), key="shared")

        assert one.status_code == other.status_code == 202
        assert one.json()["id"] != other.json()["id"]

    async def test_a_refused_request_does_not_use_up_its_key_i6(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        refused = await fleet.post_order(fleet.order(lines=[]), headers=customer, key="k6")

        answer = await fleet.post_order(fleet.order(), headers=customer, key="k6")

        assert refused.status_code == 422
        assert answer.status_code == 202

    async def test_without_a_key_an_order_is_refused_i7(self, service: Service, fleet: Fleet) -> None:
        answer = await service.client.post("/api/v1/orders", json=fleet.order(), headers=service.tokens.customer())

        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Idempotency-Key" in answer.json()["detail"]

    async def test_an_endless_key_is_refused_i8(self, fleet: Fleet) -> None:
        assert (await fleet.post_order(fleet.order(), key="k" * 256)).status_code == 400

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"lines": []}, "/lines"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": 0}]}, "/lines/0/quantity"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": -7}]}, "/lines/0/quantity"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": 10**30}]}, "/lines/0/quantity"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": 1.5}]}, "/lines/0/quantity"),
            ({"lines": [{"product_id": "no-uuid", "quantity": 1}]}, "/lines/0/product_id"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": 1} for _ in range(101)]}, "/lines"),
            ({"lines": [{"product_id": str(uuid4()), "quantity": 1, "unit_price": 1}]}, "/lines/0/unit_price"),
            ({"lines": None}, "/lines"),
            ({"currency": "XXQ"}, "/currency"),
            ({"currency": "eur"}, "/currency"),
            ({"payment_method": ""}, "/payment_method"),
            ({"payment_method": "card\u0000ok"}, "/payment_method"),
            ({"status": "CONFIRMED"}, "/status"),
        ],
    )
    async def test_what_is_wrong_with_an_order_is_pointed_at(
        self, service: Service, fleet: Fleet, changes: Json, pointer: str
    ) -> None:
        customer = service.tokens.customer()

        answer = await fleet.post_order(fleet.order(**changes), headers=customer)

        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
        assert (await service.client.get("/api/v1/orders", headers=customer)).json()["items"] == []

    async def test_a_product_on_two_lines_is_refused(self, fleet: Fleet) -> None:
        line = {"product_id": str(uuid4()), "quantity": 1}

        answer = await fleet.post_order(fleet.order(lines=[line, line]))

        assert answer.status_code == 422
        assert "more than one line" in answer.json()["detail"]

    @pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'{"currency": "EUR",}', b"[]", b'"order"', b"NaN"])
    async def test_a_body_that_is_no_order_at_all_is_a_problem(self, service: Service, content: bytes) -> None:
        headers = service.tokens.customer() | {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}

        answer = await service.client.post("/api/v1/orders", content=content, headers=headers)

        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_body_over_the_limit_is_refused(self, service: Service, fleet: Fleet, chunked: bool) -> None:
        body = b'{"currency": "' + b"x" * service.settings.max_body_bytes + b'"}'

        async def in_chunks() -> Any:
            for start in range(0, len(body), 65536):
                yield body[start : start + 65536]

        headers = service.tokens.customer() | {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        answer = await service.client.post("/api/v1/orders", content=in_chunks() if chunked else body, headers=headers)

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


class TestListOrders:
    async def test_a_customer_sees_only_own_orders(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        own = await fleet.place(customer=customer)
        somebody_elses = await fleet.place()

        listed = (await service.client.get("/api/v1/orders", headers=customer)).json()
        asked_for = await service.client.get(
            "/api/v1/orders", params={"customer_id": somebody_elses["customer_id"]}, headers=customer
        )

        assert [order["id"] for order in listed["items"]] == [own["id"]]
        assert asked_for.json()["items"] == []

    async def test_pages_follow_each_other_without_gap_or_repetition(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        placed = [(await fleet.place(customer=customer))["id"] for _ in range(5)]

        seen: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await service.client.get("/api/v1/orders", params=params, headers=customer)).json()
            seen += [order["id"] for order in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert seen == placed[::-1]

    async def test_an_admin_filters_by_customer_status_and_time(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        first = await fleet.confirmed(customer=customer)
        second = await fleet.place(customer=customer)
        admin = service.tokens.admin()

        async def found(**params: str) -> list[str]:
            answer = await service.client.get(
                "/api/v1/orders", params={"customer_id": first["customer_id"], **params}, headers=admin
            )
            assert answer.status_code == 200, answer.text
            return [order["id"] for order in answer.json()["items"]]

        assert await found() == [second["id"], first["id"]]
        assert await found(status="CONFIRMED") == [first["id"]]
        assert await found(placed_from=second["placed_at"]) == [second["id"]]
        assert await found(placed_to=second["placed_at"]) == [first["id"]]

    @pytest.mark.parametrize(
        "params",
        [
            {"limit": "0"},
            {"limit": "101"},
            {"limit": "x"},
            {"cursor": "made-up"},
            {"cursor": "WzFd"},
            {"status": "LOST"},
            {"customer_id": "1"},
            {"placed_from": "yesterday"},
            {"placed_from": "0001-01-01T00:00:00+14:00"},
            {"placed_to": "10000-01-01T00:00:00Z"},
        ],
    )
    async def test_a_bad_query_is_a_problem(self, service: Service, params: dict[str, str]) -> None:
        answer = await service.client.get("/api/v1/orders", params=params, headers=service.tokens.customer())

        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"


class TestOneOrder:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("GET", "", None), ("GET", "/timeline", None), ("POST", "/cancel", None)],
    )
    async def test_somebody_elses_order_is_not_there_a9(
        self, service: Service, fleet: Fleet, method: str, path: str, body: Json | None
    ) -> None:
        order = await fleet.place()

        answer = await service.client.request(
            method, f"/api/v1/orders/{order['id']}{path}", json=body, headers=service.tokens.customer()
        )

        assert answer.status_code == 404
        assert (await fleet.get(order))["status"] == "PLACED"

    async def test_an_unknown_order_is_not_there(self, service: Service) -> None:
        answer = await service.client.get(f"/api/v1/orders/{uuid7()}", headers=service.tokens.admin())

        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/order-not-found")

    async def test_an_id_that_is_no_uuid_is_a_problem(self, service: Service) -> None:
        answer = await service.client.get("/api/v1/orders/1", headers=service.tokens.customer())

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "path: order_id"

    async def test_the_timeline_shows_each_event_with_its_cause_s10(self, service: Service, fleet: Fleet) -> None:
        order = await fleet.place()
        await fleet.reserve(order)
        paid = await fleet.complete_payment(order)
        await fleet.becomes(order, "CONFIRMED")

        answer = await service.client.get(f"/api/v1/orders/{order['id']}/timeline", headers=service.tokens.admin())

        entries = {entry["type"]: entry for entry in answer.json()["items"]}
        assert set(entries) == {
            "order.placed.v1",
            "inventory.stock-reserved.v1",
            "payment.completed.v1",
            "order.confirmed.v1",
        }
        assert entries["order.confirmed.v1"]["causation_id"] == str(paid)
        assert entries["order.confirmed.v1"]["source"] == "/order-service"
        assert entries["order.placed.v1"]["data"]["order_id"] == order["id"]


class TestCancelOrder:
    async def test_a_customer_cancels_an_order_under_way(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        order = await fleet.place(customer=customer)

        answer = await service.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=customer)

        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["status_reason"]) == ("CANCELLED", "customer")
        told = await service.said.wait_for("order.cancelled.v1", order["id"])
        assert told == {"order_id": order["id"], "reason": "customer", "cancelled_by": order["customer_id"]}

    async def test_cancelling_twice_tells_it_once(self, service: Service, fleet: Fleet) -> None:
        customer = service.tokens.customer()
        order = await fleet.place(customer=customer)

        answers = await asyncio.gather(
            *(service.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=customer) for _ in range(5))
        )
        await fleet.has_heard(order, await fleet.reserve(order))

        assert {answer.status_code for answer in answers} == {200}
        types = [envelope.type for envelope in service.said.of(order["id"])]
        assert types.count("order.cancelled.v1") == 1

    async def test_a_shipped_order_can_no_longer_be_cancelled(self, service: Service, fleet: Fleet) -> None:
        order = await fleet.confirmed()
        admin = service.tokens.admin()
        shipment = {"carrier": "Parcel Post", "tracking_number": "PP1"}
        await service.client.post(f"/api/v1/orders/{order['id']}/ship", json=shipment, headers=admin)

        answer = await service.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=admin)

        assert answer.status_code == 409
        assert answer.json()["type"].endswith("/order-not-cancellable")


class TestFulfilment:
    async def test_an_admin_ships_and_delivers(self, service: Service, fleet: Fleet) -> None:
        order = await fleet.confirmed()
        admin = service.tokens.admin()
        shipment = {"carrier": "Parcel Post", "tracking_number": "PP123"}

        shipped = await service.client.post(f"/api/v1/orders/{order['id']}/ship", json=shipment, headers=admin)
        delivered = await service.client.post(f"/api/v1/orders/{order['id']}/deliver", headers=admin)

        assert shipped.json()["status"] == "SHIPPED"
        assert delivered.json()["status"] == "DELIVERED"
        assert delivered.json()["tracking_number"] == "PP123"
        assert (await service.said.wait_for("order.shipped.v1", order["id"]))["carrier"] == "Parcel Post"
        await service.said.wait_for("order.delivered.v1", order["id"])

    async def test_an_order_that_is_not_confirmed_is_not_shipped(self, service: Service, fleet: Fleet) -> None:
        order = await fleet.place()
        shipment = {"carrier": "Parcel Post", "tracking_number": "PP123"}

        answer = await service.client.post(
            f"/api/v1/orders/{order['id']}/ship", json=shipment, headers=service.tokens.admin()
        )

        assert answer.status_code == 409

    @pytest.mark.parametrize("action", ["ship", "deliver"])
    async def test_a_customer_fulfils_nothing(self, service: Service, fleet: Fleet, action: str) -> None:
        customer = service.tokens.customer()
        order = await fleet.place(customer=customer)

        answer = await service.client.post(
            f"/api/v1/orders/{order['id']}/{action}",
            json={"carrier": "x", "tracking_number": "y"},
            headers=customer,
        )

        assert answer.status_code == 403


class TestWhoIsCalling:
    async def test_without_a_token_nothing_is_shown(self, service: Service) -> None:
        answer = await service.client.get("/api/v1/orders")

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"

    async def test_every_route_asks_who_is_calling_a11(self, service: Service) -> None:
        document = (await service.client.get("/openapi.json")).json()

        for path, operations in document["paths"].items():
            for method in operations:
                answer = await service.client.request(method, path.replace("{order_id}", str(uuid7())), json={})
                assert answer.status_code == 401, f"{method} {path}"

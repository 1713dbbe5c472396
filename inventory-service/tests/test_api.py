"""Products, their stock, and reservations over HTTP."""

import asyncio
import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from support.fleet import Fleet, Json

from inventory_service.settings import Settings

Service = ServiceUnderTest[Settings]

# An empty header set: nobody is logged in.
ANYBODY: Json = {}


class TestCreateProduct:
    async def test_a_product_is_created_with_its_initial_stock_in_the_ledger(
        self, service: Service, fleet: Fleet
    ) -> None:
        answer = await fleet.ask(
            "POST", "/products", fleet.product(sku="MUG-1", description="Blue", on_hand=7, reorder_level=2)
        )

        assert answer.status_code == 201, answer.text
        product = answer.json()
        assert answer.headers["location"] == f"/api/v1/inventory/products/{product['id']}"
        assert product.pop("created_at").endswith("Z")
        assert product.pop("updated_at").endswith("Z")
        assert product == {
            "id": product["id"],
            "sku": "MUG-1",
            "name": "Mug",
            "description": "Blue",
            "price": 1299,
            "currency": "EUR",
            "on_hand": 7,
            "reserved": 0,
            "available": 7,
            "reorder_level": 2,
        }
        ledger = (await fleet.ask("GET", f"/products/{product['id']}/adjustments")).json()["items"]
        assert [(entry["delta"], entry["on_hand"]) for entry in ledger] == [(7, 7)]
        told = await service.said.wait_for("inventory.stock-adjusted.v1", product["id"])
        assert told == {"product_id": product["id"], "on_hand": 7, "reserved": 0, "reorder_level": 2}

    async def test_without_a_word_on_stock_there_is_none(self, fleet: Fleet) -> None:
        answer = await fleet.ask(
            "POST", "/products", {"sku": str(uuid4()), "name": "Mug", "price": 1, "currency": "EUR"}
        )

        product = answer.json()
        assert (product["on_hand"], product["available"], product["reorder_level"]) == (0, 0, 0)
        assert (await fleet.ask("GET", f"/products/{product['id']}/adjustments")).json()["items"] == []

    async def test_a_sku_is_given_once_however_many_ask_at_once(self, fleet: Fleet) -> None:
        body = fleet.product()

        answers = await asyncio.gather(*(fleet.ask("POST", "/products", body) for _ in range(5)))

        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
        refusal = next(answer.json() for answer in answers if answer.status_code == 409)
        assert refusal["type"].endswith("/sku-taken")
        assert body["sku"] in refusal["detail"]

    async def test_the_same_key_and_body_answer_the_first_response_again_i1(
        self, service: Service, fleet: Fleet
    ) -> None:
        headers = service.tokens.admin() | {"Idempotency-Key": "p1"}
        body = fleet.product()
        first = await fleet.ask("POST", "/products", body, headers=headers)

        again = await fleet.ask("POST", "/products", body, headers=headers)

        assert again.status_code == 201
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"price": 0}, "/price"),
            ({"price": -1}, "/price"),
            ({"price": 10**30}, "/price"),
            ({"price": 9.99}, "/price"),
            ({"on_hand": -1}, "/on_hand"),
            ({"on_hand": 10**30}, "/on_hand"),
            ({"reorder_level": -1}, "/reorder_level"),
            ({"reorder_level": 10**30}, "/reorder_level"),
            ({"currency": "XXQ"}, "/currency"),
            ({"sku": ""}, "/sku"),
            ({"sku": "a\0b"}, "/sku"),
            ({"sku": "x" * 65}, "/sku"),
            ({"name": ""}, "/name"),
            ({"name": "a\0b"}, "/name"),
            ({"description": "a\0b"}, "/description"),
            ({"reserved": 5}, "/reserved"),
            ({"id": str(uuid4())}, "/id"),
        ],
    )
    async def test_what_is_wrong_with_a_product_is_pointed_at(self, fleet: Fleet, changes: Json, pointer: str) -> None:
        answer = await fleet.ask("POST", "/products", fleet.product(**changes))

        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]

    async def test_half_a_character_is_refused(self, service: Service) -> None:
        answer = await service.client.post(
            "/api/v1/inventory/products",
            content=rb'{"sku": "\ud800", "name": "Mug", "price": 1, "currency": "EUR"}',
            headers=service.tokens.admin() | {"content-type": "application/json"},
        )

        assert answer.status_code == 422, answer.text


class TestListProducts:
    @pytest.mark.parametrize(
        ("sort", "names"),
        [
            ("name", ["A", "B", "C", "D", "E"]),
            # Two have the same price; the id decides, so that they come in the order they were made, or the reverse.
            ("price", ["C", "A", "E", "B", "D"]),
            ("-price", ["D", "B", "E", "A", "C"]),
            ("created_at", ["B", "A", "D", "C", "E"]),
        ],
    )
    async def test_pages_follow_each_other_in_every_order(self, fleet: Fleet, sort: str, names: list[str]) -> None:
        mark = str(uuid4())
        for name, price in (("B", 30), ("A", 20), ("D", 40), ("C", 10), ("E", 20)):
            await fleet.create(name=name, price=price, description=mark)

        items = await _all_pages(fleet, q=mark, sort=sort, limit=2)

        assert [item["name"] for item in items] == names

    async def test_the_search_looks_in_sku_name_and_description_whatever_the_case(self, fleet: Fleet) -> None:
        mark = uuid4().hex
        by_sku = await fleet.create(sku=f"X-{mark}"[:64])
        by_name = await fleet.create(name=f"Mug {mark.upper()}")
        by_description = await fleet.create(description=f"... {mark} ...")
        await fleet.create()

        items = await _all_pages(fleet, q=mark)

        assert {item["id"] for item in items} == {by_sku["id"], by_name["id"], by_description["id"]}

    @pytest.mark.parametrize("text", ["%", "_", "\\", "/", "'"])
    async def test_what_is_searched_for_stands_for_itself(self, fleet: Fleet, text: str) -> None:
        mark = uuid4().hex
        wanted = await fleet.create(name=f"{mark}{text}x")
        await fleet.create(name=f"{mark}yx")

        items = await _all_pages(fleet, q=f"{mark}{text}x")

        assert [item["id"] for item in items] == [wanted["id"]]

    async def test_filters_narrow_the_list(self, fleet: Fleet) -> None:
        mark = uuid4().hex
        await fleet.create(name="cheap", description=mark, price=10)
        await fleet.create(name="middle", description=mark, price=20, on_hand=0)
        await fleet.create(name="dear", description=mark, price=30, currency="USD")

        async def names(**filters: Any) -> list[str]:
            return [item["name"] for item in await _all_pages(fleet, q=mark, sort="price", **filters)]

        assert await names(min_price=20) == ["middle", "dear"]
        assert await names(max_price=20) == ["cheap", "middle"]
        assert await names(min_price=20, max_price=20) == ["middle"]
        assert await names(currency="USD") == ["dear"]
        assert await names(in_stock=True) == ["cheap", "dear"]
        assert await names(in_stock=False) == ["middle"]

    async def test_what_is_all_reserved_is_not_in_stock(self, fleet: Fleet) -> None:
        product = await fleet.create(name=uuid4().hex, on_hand=2)
        await fleet.reserved(product)

        assert await _all_pages(fleet, q=product["name"], in_stock=True) == []

    @pytest.mark.parametrize(
        ("parameters", "status"),
        [
            ({"min_price": 30, "max_price": 20}, 400),
            ({"cursor": "garbage"}, 400),
            ({"cursor": "4pmC"}, 400),
            ({"cursor": "é"}, 400),
            ({"min_price": -1}, 422),
            ({"max_price": 10**30}, 422),
            ({"min_price": "cheap"}, 422),
            ({"currency": "XXQ"}, 422),
            ({"sort": "sku"}, 422),
            ({"in_stock": "perhaps"}, 422),
            ({"q": "a\0b"}, 422),
            ({"q": "x" * 201}, 422),
            ({"limit": 0}, 422),
            ({"limit": 101}, 422),
        ],
    )
    async def test_a_question_that_can_not_be_is_refused(self, fleet: Fleet, parameters: Json, status: int) -> None:
        answer = await fleet.ask("GET", "/products", **parameters)

        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("sort", ["name", "price", "created_at"])
    @pytest.mark.parametrize(
        "values",
        [
            [],
            {},
            5,
            [1],
            [None, None],
            ["a\0b", str(uuid7())],
            [10**30, str(uuid7())],
            [-1, str(uuid7())],
            ["2026-01-01T00:00:00", str(uuid7())],
            ["0001-01-01T00:00:00+14:00", str(uuid7())],
            ["9999-12-31T23:59:59-14:00", str(uuid7())],
            ["x", "no-uuid"],
            [5, 5],
        ],
    )
    async def test_a_cursor_made_up_by_the_client_is_never_a_failure_of_ours(
        self, fleet: Fleet, sort: str, values: Any
    ) -> None:
        cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

        answer = await fleet.ask("GET", "/products", sort=sort, cursor=cursor)

        # A text is a name, whatever is in it; everything else is seen through.
        is_name = sort == "name" and isinstance(values, list) and values[1:] and isinstance(values[0], str)
        good = is_name and "\0" not in values[0] and values[1] != "no-uuid"
        assert answer.status_code == (200 if good else 400), answer.text


class TestWhoSeesWhat:
    async def test_customers_and_passers_by_see_what_is_available_but_not_the_books(
        self, service: Service, fleet: Fleet
    ) -> None:
        product = await fleet.create(name=uuid4().hex, on_hand=20)
        await fleet.reserved(product)

        for headers in (ANYBODY, service.tokens.customer()):
            shown = (await fleet.ask("GET", f"/products/{product['id']}", headers=headers)).json()
            listed = (await fleet.ask("GET", "/products", headers=headers, q=product["name"])).json()["items"]
            assert listed == [shown]
            assert shown["available"] == 18
            assert shown.keys() == product.keys() - {"on_hand", "reserved", "reorder_level"}

    async def test_an_admin_sees_the_books(self, fleet: Fleet) -> None:
        product = await fleet.create(name=uuid4().hex, reorder_level=4)

        shown = (await fleet.ask("GET", f"/products/{product['id']}")).json()
        listed = (await fleet.ask("GET", "/products", q=product["name"])).json()["items"]

        assert listed == [shown]
        assert shown == product

    async def test_a_bad_token_is_refused_even_where_none_is_needed(self, fleet: Fleet) -> None:
        answer = await fleet.ask("GET", "/products", headers={"Authorization": "Bearer x.y.z"})

        assert answer.status_code == 401

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/products"),
            ("PUT", "/products/{id}"),
            ("DELETE", "/products/{id}"),
            ("POST", "/products/{id}/adjustments"),
            ("GET", "/products/{id}/adjustments"),
        ],
    )
    async def test_the_rest_is_for_admins(self, service: Service, fleet: Fleet, method: str, path: str) -> None:
        product = await fleet.create()
        body = fleet.product() | {"delta": 1, "reason": "x"}
        path = path.format(id=product["id"])

        assert (await fleet.ask(method, path, body, headers=ANYBODY)).status_code == 401
        assert (await fleet.ask(method, path, body, headers=service.tokens.customer())).status_code == 403
        assert (await fleet.ask("GET", f"/products/{product['id']}")).json() == product


class TestEditProduct:
    async def test_all_but_the_stock_can_be_changed(self, fleet: Fleet) -> None:
        product = await fleet.create()
        changes = {
            "sku": str(uuid4()),
            "name": "Cup",
            "description": "Red",
            "price": 99,
            "currency": "USD",
            "reorder_level": 3,
        }

        answer = await fleet.ask("PUT", f"/products/{product['id']}", changes)

        assert answer.status_code == 200, answer.text
        edited = answer.json()
        assert edited == product | changes | {"updated_at": edited["updated_at"]}
        assert edited["updated_at"] > product["updated_at"]
        assert (await fleet.ask("GET", f"/products/{product['id']}")).json() == edited

    async def test_what_is_left_out_stays(self, fleet: Fleet) -> None:
        product = await fleet.create(description="Blue", reorder_level=3)

        edited = await fleet.ask(
            "PUT", f"/products/{product['id']}", {"sku": product["sku"], "name": "Mug", "price": 1}
        )

        assert (edited.json()["description"], edited.json()["currency"], edited.json()["reorder_level"]) == (
            "Blue",
            "EUR",
            3,
        )

    async def test_the_sku_of_another_product_is_refused(self, fleet: Fleet) -> None:
        product, other = await fleet.create(), await fleet.create()

        answer = await fleet.ask("PUT", f"/products/{product['id']}", {"sku": other["sku"], "name": "Mug", "price": 1})

        assert answer.status_code == 409
        assert answer.json()["type"].endswith("/sku-taken")
        assert (await fleet.ask("GET", f"/products/{product['id']}")).json() == product

    async def test_the_currency_stays_while_orders_hold_some(self, fleet: Fleet) -> None:
        product = await fleet.create()
        await fleet.reserved(product)
        body = {"sku": product["sku"], "name": "Mug", "price": 1, "currency": "USD"}

        answer = await fleet.ask("PUT", f"/products/{product['id']}", body)

        assert answer.status_code == 409
        assert answer.json()["type"].endswith("/product-in-orders")

    async def test_a_level_raised_over_what_is_there_is_told(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=5)
        body = {"sku": product["sku"], "name": "Mug", "price": 1, "reorder_level": 5}

        await fleet.ask("PUT", f"/products/{product['id']}", body)

        told = await service.said.wait_for("inventory.stock-low.v1", product["id"])
        assert told == {"product_id": product["id"], "on_hand": 5, "reserved": 0, "reorder_level": 5}

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [({"on_hand": 5}, "/on_hand"), ({"price": 0}, "/price"), ({"price": None}, "/price"), ({"name": ""}, "/name")],
    )
    async def test_what_is_wrong_with_a_change_is_pointed_at(self, fleet: Fleet, changes: Json, pointer: str) -> None:
        product = await fleet.create()

        answer = await fleet.ask(
            "PUT", f"/products/{product['id']}", {"sku": product["sku"], "name": "Mug", "price": 1} | changes
        )

        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


class TestDeleteProduct:
    async def test_a_product_that_no_order_holds_is_deleted(self, fleet: Fleet) -> None:
        product = await fleet.create()
        released, shipped = await fleet.reserved(product), await fleet.committed(product)
        await fleet.cancel(released)
        await fleet.ship(shipped)
        await fleet.becomes(released, "RELEASED")
        await fleet.becomes(shipped, "SHIPPED")

        answer = await fleet.ask("DELETE", f"/products/{product['id']}")

        assert (answer.status_code, answer.content) == (204, b"")
        assert (await fleet.ask("GET", f"/products/{product['id']}")).status_code == 404
        assert (await fleet.ask("DELETE", f"/products/{product['id']}")).status_code == 404

    @pytest.mark.parametrize("is_paid", [False, True])
    async def test_a_product_that_an_order_holds_is_not(self, fleet: Fleet, is_paid: bool) -> None:
        product = await fleet.create()
        await (fleet.committed(product) if is_paid else fleet.reserved(product))

        answer = await fleet.ask("DELETE", f"/products/{product['id']}")

        assert answer.status_code == 409
        assert answer.json()["type"].endswith("/product-in-orders")
        assert (await fleet.ask("GET", f"/products/{product['id']}")).status_code == 200


class TestAdjustStock:
    async def test_an_adjustment_changes_the_stock_and_stands_in_the_ledger(
        self, service: Service, fleet: Fleet
    ) -> None:
        product = await fleet.create(on_hand=10)

        answer = await fleet.ask("POST", _ledger(product), {"delta": -3, "reason": "broken"})

        assert answer.status_code == 201, answer.text
        adjustment = answer.json()
        assert (adjustment["product_id"], adjustment["delta"], adjustment["on_hand"], adjustment["reason"]) == (
            product["id"],
            -3,
            7,
            "broken",
        )
        assert await fleet.stock(product) == (7, 0)
        assert (await fleet.ask("GET", _ledger(product))).json()["items"][0] == adjustment
        told = await service.said.wait_for("inventory.stock-adjusted.v1", product["id"], count=2)
        assert told["on_hand"] == 7

    async def test_the_ledger_names_who_did_it(self, service: Service, fleet: Fleet) -> None:
        product, admin = await fleet.create(), uuid7()
        headers = {"Authorization": f"Bearer {service.tokens.token(user_id=admin, role='admin')}"}

        answer = await fleet.ask("POST", _ledger(product), {"delta": 1, "reason": "found"}, headers=headers)

        assert answer.json()["adjusted_by"] == str(admin)

    async def test_the_ledger_comes_in_pages_the_newest_first(self, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=1)
        for delta in (2, 3, 4, 5):
            await fleet.ask("POST", _ledger(product), {"delta": delta, "reason": "bought in"})

        first = (await fleet.ask("GET", _ledger(product), limit=3)).json()
        last = (await fleet.ask("GET", _ledger(product), limit=3, cursor=first["next_cursor"])).json()

        assert [entry["delta"] for entry in first["items"] + last["items"]] == [5, 4, 3, 2, 1]
        assert [entry["on_hand"] for entry in first["items"]] == [15, 10, 6]
        assert last["next_cursor"] is None

    async def test_what_is_reserved_can_not_be_taken_away(self, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=10)
        await fleet.reserved(product, quantity=4)

        refused = await fleet.ask("POST", _ledger(product), {"delta": -7, "reason": "lost"})
        taken = await fleet.ask("POST", _ledger(product), {"delta": -6, "reason": "lost"})

        assert refused.status_code == 409
        assert refused.json()["type"].endswith("/not-enough-stock")
        assert refused.json()["available"] == 6
        assert taken.status_code == 201
        assert await fleet.stock(product) == (4, 4)
        assert len((await fleet.ask("GET", _ledger(product))).json()["items"]) == 2

    async def test_adjustments_at_once_are_all_counted(self, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=10)

        answers = await asyncio.gather(
            *(fleet.ask("POST", _ledger(product), {"delta": -1, "reason": "sold by hand"}) for _ in range(15))
        )

        assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 5
        assert await fleet.stock(product) == (0, 0)

    async def test_a_repeated_adjustment_with_its_key_counts_once_i1(self, service: Service, fleet: Fleet) -> None:
        product = await fleet.create(on_hand=10)
        headers = service.tokens.admin() | {"Idempotency-Key": "a1"}

        for _ in range(3):
            answer = await fleet.ask("POST", _ledger(product), {"delta": 5, "reason": "bought in"}, headers=headers)
            assert answer.status_code == 201

        assert await fleet.stock(product) == (15, 0)

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"delta": 0}, "/delta"),
            ({"delta": 10**30}, "/delta"),
            ({"delta": -(10**30)}, "/delta"),
            ({"delta": 1.5}, "/delta"),
            ({"reason": ""}, "/reason"),
            ({"reason": "a\0b"}, "/reason"),
            ({"on_hand": 5}, "/on_hand"),
        ],
    )
    async def test_what_is_wrong_with_an_adjustment_is_pointed_at(
        self, fleet: Fleet, changes: Json, pointer: str
    ) -> None:
        product = await fleet.create()

        answer = await fleet.ask("POST", _ledger(product), {"delta": 1, "reason": "found"} | changes)

        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


class TestGetReservation:
    async def test_a_customer_sees_what_their_order_holds(self, service: Service, fleet: Fleet) -> None:
        product, customer = await fleet.create(price=1299), uuid7()
        order = await fleet.reserved(product, customer_id=str(customer))

        answer = await fleet.ask("GET", f"/reservations/{order['order_id']}", headers=service.tokens.customer(customer))

        assert answer.status_code == 200, answer.text
        reservation = answer.json()
        assert reservation["customer_id"] == str(customer)
        assert (reservation["status"], reservation["reason"], reservation["total"]) == ("HELD", None, 2598)
        assert reservation["lines"] == [{"product_id": product["id"], "quantity": 2, "unit_price": 1299}]

    async def test_somebody_elses_looks_like_one_that_is_not_there_a9(self, service: Service, fleet: Fleet) -> None:
        order = await fleet.reserved(await fleet.create())
        path = f"/reservations/{order['order_id']}"

        theirs = await fleet.ask("GET", path, headers=service.tokens.customer())
        unknown = await fleet.ask("GET", f"/reservations/{uuid7()}", headers=service.tokens.customer())

        assert theirs.status_code == unknown.status_code == 404
        assert theirs.json()["title"] == unknown.json()["title"]
        assert (await fleet.ask("GET", path, headers=ANYBODY)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/products/{id}", None),
        ("PUT", "/products/{id}", {"sku": "x", "name": "x", "price": 1}),
        ("DELETE", "/products/{id}", None),
        ("POST", "/products/{id}/adjustments", {"delta": 1, "reason": "x"}),
        ("GET", "/products/{id}/adjustments", None),
        ("GET", "/reservations/{id}", None),
    ],
)
async def test_what_is_not_there_is_404_and_what_is_no_id_is_422(
    fleet: Fleet, method: str, path: str, body: Json | None
) -> None:
    unknown = await fleet.ask(method, path.format(id=uuid7()), body)
    no_id = await fleet.ask(method, path.format(id="no-uuid"), body)

    assert unknown.status_code == 404, unknown.text
    assert no_id.status_code == 422, no_id.text
    assert unknown.headers["content-type"] == no_id.headers["content-type"] == "application/problem+json"


async def _all_pages(fleet: Fleet, **parameters: Any) -> list[Json]:
    """The items of all pages, as anybody sees them."""
    items: list[Json] = []
    cursor: Json = {}
    while True:
        answer = await fleet.ask("GET", "/products", headers=ANYBODY, **parameters, **cursor)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return items
        cursor = {"cursor": answer.json()["next_cursor"]}


def _ledger(product: Json) -> str:
    return f"/products/{product['id']}/adjustments"

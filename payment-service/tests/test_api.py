"""Payments over HTTP."""

import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until
from conftest import SECRET
from httpx import Response
from prometheus_client import REGISTRY
from support.fleet import Fleet, Json, Order

from payment_service.settings import Settings
from payment_service.signatures import HEADER, sign

Service = ServiceUnderTest[Settings]


class TestGetPayment:
    async def test_a_customer_sees_an_own_payment(self, service: Service, fleet: Fleet) -> None:
        customer_id = uuid4()
        order, payment = await fleet.paid(customer_id=customer_id)

        answer = await service.client.get(
            f"/api/v1/payments/{payment['id']}", headers=service.tokens.customer(customer_id)
        )

        assert answer.status_code == 200
        shown = answer.json()
        assert shown == payment
        assert list(shown) == [
            "id",
            "order_id",
            "customer_id",
            "status",
            "failure_reason",
            "amount",
            "refunded_amount",
            "currency",
            "payment_method",
            "provider",
            "provider_reference",
            "created_at",
            "updated_at",
        ]
        assert shown["order_id"] == str(order.id)
        assert shown["created_at"].endswith("Z")

    async def test_somebody_elses_payment_is_not_there_a9(self, service: Service, fleet: Fleet) -> None:
        _, payment = await fleet.paid()

        answer = await service.client.get(f"/api/v1/payments/{payment['id']}", headers=service.tokens.customer())

        assert_problem(answer, 404, "payment-not-found")

    async def test_an_id_that_is_no_uuid_is_refused(self, service: Service) -> None:
        answer = await service.client.get("/api/v1/payments/17%00", headers=service.tokens.customer())

        assert_problem(answer, 422, "invalid-request")

    async def test_nobody_sees_a_payment_without_a_token(self, service: Service) -> None:
        assert_problem(await service.client.get(f"/api/v1/payments/{uuid4()}"), 401, "not-authenticated")


class TestListPayments:
    async def test_pages_show_each_own_payment_once_the_newest_first(self, service: Service, fleet: Fleet) -> None:
        customer_id = uuid4()
        paid = [(await fleet.paid(customer_id=customer_id))[1]["id"] for _ in range(5)]
        await fleet.paid()

        listed: list[str] = []
        cursor = None
        while True:
            page = await self._list(service, customer_id, limit=2, **({"cursor": cursor} if cursor else {}))
            listed += [payment["id"] for payment in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert listed == paid[::-1]

    async def test_filters_narrow_the_list(self, service: Service, fleet: Fleet) -> None:
        customer_id = uuid4()
        order, first = await fleet.paid(customer_id=customer_id)
        declined = Order("card-declined", customer_id=customer_id)
        await fleet.reserve(declined)
        second = await fleet.becomes(declined, "FAILED")

        async def ids(**filters: Any) -> list[str]:
            return [payment["id"] for payment in (await self._list(service, customer_id, **filters))["items"]]

        assert await ids(status="FAILED") == [second["id"]]
        assert await ids(order_id=order.id) == [first["id"]]
        assert await ids(created_from=second["created_at"]) == [second["id"]]
        assert await ids(created_to=second["created_at"]) == [first["id"]]
        assert await ids(status="VOIDED") == []

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("status=PAID", 422),
            ("order_id=1", 422),
            ("limit=0", 422),
            ("limit=101", 422),
            ("created_from=yesterday", 422),
            ("created_from=0001-01-01T00:00:00%2B14:00", 422),
            ("created_to=9999-12-31T23:59:59-14:00", 422),
            ("cursor=nonsense", 400),
            ("cursor=WzFd", 400),
        ],
    )
    async def test_what_cannot_be_understood_is_refused(self, service: Service, query: str, status: int) -> None:
        answer = await service.client.get(f"/api/v1/payments?{query}", headers=service.tokens.customer())

        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    async def _list(self, service: Service, customer_id: UUID, **query: Any) -> Json:
        answer = await service.client.get(
            "/api/v1/payments", params=query, headers=service.tokens.customer(customer_id)
        )
        assert answer.status_code == 200, answer.text
        page: Json = answer.json()
        return page


class TestRefundPayment:
    async def test_a_part_and_then_the_rest_are_given_back(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()

        answer = await refund(service, payment, {"amount": 598, "reason": "damaged"})

        assert answer.status_code == 202
        assert answer.headers["location"] == f"/api/v1/payments/{payment['id']}"
        promised = answer.json()
        assert (promised["amount"], promised["currency"], promised["reason"]) == (598, "EUR", "damaged")
        assert (promised["status"], promised["payment_id"]) == ("PENDING", payment["id"])
        assert (await fleet.becomes(order, "PARTIALLY_REFUNDED"))["refunded_amount"] == 598
        assert (await refund(service, payment, {"reason": "goodwill"})).json()["amount"] == 2000
        assert (await fleet.becomes(order, "REFUNDED"))["refunded_amount"] == 2598
        told = [await service.said.wait_for("payment.refunded.v1", order.id, count=number) for number in (1, 2)]
        assert [(said["amount"], said["reason"]) for said in told] == [(598, "damaged"), (2000, "goodwill")]
        assert [charge["refunded_amount"] for charge in await fleet.charges(order)] == [2598]

    async def test_the_same_key_refunds_once_i1(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()
        key, admin = str(uuid4()), service.tokens.admin()
        first = await refund(service, payment, {"amount": 100, "reason": "damaged"}, key=key, headers=admin)

        again = await refund(service, payment, {"amount": 100, "reason": "damaged"}, key=key, headers=admin)

        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == first.json()
        assert (await fleet.becomes(order, "PARTIALLY_REFUNDED"))["refunded_amount"] == 100
        other = await refund(service, payment, {"amount": 101, "reason": "damaged"}, key=key, headers=admin)
        assert_problem(other, 422, "idempotency-key-reused")

    async def test_a_key_is_needed_i7(self, service: Service, fleet: Fleet) -> None:
        _, payment = await fleet.paid()

        answer = await service.client.post(
            f"/api/v1/payments/{payment['id']}/refunds", json={"reason": "x"}, headers=service.tokens.admin()
        )

        assert_problem(answer, 400, "idempotency-key-missing")

    async def test_never_more_than_was_captured_is_refunded(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()

        assert_problem(await refund(service, payment, {"amount": 2599, "reason": "x"}), 409, "refund-too-large")
        assert (await refund(service, payment, {"amount": 2000, "reason": "x"})).status_code == 202
        assert_problem(await refund(service, payment, {"amount": 599, "reason": "x"}), 409, "refund-too-large")

        assert (await fleet.becomes(order, "PARTIALLY_REFUNDED"))["refunded_amount"] == 2000

    async def test_a_refund_and_a_cancelled_order_share_what_was_captured_s5(
        self, service: Service, fleet: Fleet
    ) -> None:
        order, payment = await fleet.paid()
        await refund(service, payment, {"amount": 598, "reason": "damaged"})

        await fleet.cancel(order)

        await fleet.becomes(order, "REFUNDED")
        assert (await service.said.wait_for("payment.refunded.v1", order.id, count=2))["payment_id"] == payment["id"]
        told = [said.json()["amount"] for said in service.said.of(order.id) if said.type == "payment.refunded.v1"]
        assert sorted(told) == [598, 2000]

    async def test_a_refund_whose_answer_was_lost_is_made_once_s6(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()
        fleet.provider.refund_answers_to_lose = 2

        await refund(service, payment, {"amount": 598, "reason": "damaged"})

        assert (await fleet.becomes(order, "PARTIALLY_REFUNDED"))["refunded_amount"] == 598
        assert fleet.provider.refund_answers_to_lose == 0
        assert [charge["refunded_amount"] for charge in await fleet.charges(order)] == [598]

    async def test_a_refund_that_the_provider_refuses_is_off(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()
        (charge,) = await fleet.charges(order)
        behind_our_back = await fleet.sandbox.post(
            f"/charges/{charge['id']}/refunds", json={"amount": 2598}, headers={"Idempotency-Key": str(uuid4())}
        )
        assert behind_our_back.status_code == 201

        assert (await refund(service, payment, {"reason": "x"})).status_code == 202

        # It can be asked for again only once the first is off.
        async def promised_again() -> bool:
            return (await refund(service, payment, {"reason": "x"})).status_code == 202

        await until(promised_again)
        assert (await fleet.becomes(order, "SUCCEEDED"))["refunded_amount"] == 0
        assert fleet.said(order) == ["payment.completed.v1"]

    async def test_what_was_not_captured_cannot_be_refunded(self, service: Service, fleet: Fleet) -> None:
        order = Order("card-declined")
        await fleet.reserve(order)

        answer = await refund(service, await fleet.becomes(order, "FAILED"), {"reason": "x"})

        assert_problem(answer, 409, "payment-not-refundable")

    async def test_only_an_admin_refunds(self, service: Service, fleet: Fleet) -> None:
        customer_id = uuid4()
        _, payment = await fleet.paid(customer_id=customer_id)

        answer = await refund(service, payment, {"reason": "x"}, headers=service.tokens.customer(customer_id))

        assert_problem(answer, 403, "not-allowed")

    async def test_an_unknown_payment_is_not_there(self, service: Service) -> None:
        assert_problem(await refund(service, {"id": uuid4()}, {"reason": "x"}), 404, "payment-not-found")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"reason": ""},
            {"reason": "x" * 201},
            {"reason": "a\0b"},
            {"reason": "x", "amount": 0},
            {"reason": "x", "amount": -5},
            {"reason": "x", "amount": 2**63},
            {"reason": "x", "amount": 1.5},
            {"reason": "x", "amount": "much"},
            {"reason": "x", "to": "somebody else"},
            [],
        ],
    )
    async def test_a_body_that_cannot_be_is_refused(self, service: Service, fleet: Fleet, body: Any) -> None:
        answer = await refund(service, {"id": uuid4()}, body)

        assert_problem(answer, 422, "invalid-request")


class TestWebhooks:
    async def test_a_notice_settles_a_charge_whose_answer_is_awaited(self, service: Service, fleet: Fleet) -> None:
        order, payment = await self._pending(fleet)

        answer = await tell(service, notice(payment, "succeeded"))

        assert answer.status_code == 204
        assert (await fleet.becomes(order, "SUCCEEDED"))["provider_reference"] == "ch_1"
        fleet.provider.away.discard(order.id)

    async def test_a_notice_that_comes_again_changes_nothing(self, service: Service, fleet: Fleet) -> None:
        order, payment = await self._pending(fleet)
        body = notice(payment, "failed", failure_reason="insufficient-funds")

        for _ in range(3):
            assert (await tell(service, body)).status_code == 204

        assert (await fleet.becomes(order, "FAILED"))["failure_reason"] == "insufficient-funds"
        assert (await service.said.wait_for("payment.failed.v1", order.id))["reason"] == "insufficient-funds"
        assert fleet.said(order) == ["payment.failed.v1"]

    async def test_money_that_turns_up_after_a_payment_was_given_up_is_given_back(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service.settings, "give_up_seconds", 0.2)
        order, payment = await self._pending(fleet)
        await fleet.has_voided(order)
        fleet.provider.away.remove(order.id)
        await fleet.becomes(order, "FAILED")
        charge = await self._charge_behind_our_back(fleet, payment)

        assert (await tell(service, {"charge": charge})).status_code == 204

        await fleet.becomes(order, "REFUNDED")
        assert (await service.said.wait_for("payment.refunded.v1", order.id))["reason"] == "provider-unavailable"
        assert fleet.said(order) == ["payment.failed.v1", "payment.completed.v1", "payment.refunded.v1"]
        assert [charge["refunded_amount"] for charge in await fleet.charges(order)] == [2598]

    async def test_only_what_the_provider_signed_is_believed(self, service: Service, fleet: Fleet) -> None:
        order, payment = await fleet.paid()
        body = json.dumps(notice(payment, "failed")).encode()
        now = int(time.time())
        good = sign(SECRET, body, now)
        signatures = {
            "another secret": sign("guessed", body, now),
            "another body": sign(SECRET, body + b" ", now),
            "another time": good.replace(f"t={now}", f"t={now + 1}"),
            "too old": sign(SECRET, body, now - 301),
            "from the future": sign(SECRET, body, now + 320),
            "no time": good.split(",")[1],
            "no digest": good.split(",")[0],
            "nothing": "",
            "nonsense": "t=½,v1=é",
            "endless time": f"t={'9' * 400},v1=00",
        }

        for what, signature in signatures.items():
            answer = await tell(service, body, signature=signature)
            assert answer.status_code == 401, what
            assert answer.json()["type"].endswith("webhook-not-trusted")

        assert (await tell(service, body, signature=None)).status_code == 401
        assert (await tell(service, body, signature=good)).status_code == 204
        await fleet.becomes(order, "SUCCEEDED")

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"charge": {}}', b"\xff"])
    async def test_a_signed_body_that_is_no_notice_is_refused(self, service: Service, body: bytes) -> None:
        assert_problem(await tell(service, body), 400, "bad-request")

    async def test_a_key_that_is_no_payment_is_refused_or_passed_over(self, service: Service) -> None:
        assert_problem(await tell(service, notice({"id": "x"}, "succeeded")), 400, "bad-request")
        assert (await tell(service, notice({"id": uuid4()}, "succeeded"))).status_code == 204

    @pytest.mark.parametrize("provider", ["paypal", "sandbox%00", "Sandbox"])
    async def test_an_unknown_provider_is_not_there(self, service: Service, provider: str) -> None:
        assert_problem(await tell(service, b"{}", provider=provider), 404, "provider-not-found")

    async def _pending(self, fleet: Fleet) -> tuple[Order, Json]:
        """A payment of which the provider says nothing."""
        order = Order()
        fleet.provider.away.add(order.id)
        await fleet.reserve(order)
        await fleet.has_called(order, "charge")
        return order, await fleet.becomes(order, "PENDING")

    async def _charge_behind_our_back(self, fleet: Fleet, payment: Json) -> Json:
        body = {
            "amount": payment["amount"],
            "currency": "EUR",
            "payment_method": "card-ok",
            "reference": payment["order_id"],
        }
        # Under another key: with the payment's own, the provider keeps its word that nothing is charged any more.
        answer = await fleet.sandbox.post("/charges", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code == 201
        charge: Json = answer.json()
        return {**charge, "idempotency_key": payment["id"]}


class TestMetrics:
    async def test_payments_and_calls_are_counted(self, service: Service, fleet: Fleet) -> None:
        before = REGISTRY.get_sample_value("payments_total", {"status": "SUCCEEDED"}) or 0

        await fleet.paid()

        assert REGISTRY.get_sample_value("payments_total", {"status": "SUCCEEDED"}) == before + 1
        shown = (await service.client.get("/actuator/prometheus")).text
        assert 'provider_call_seconds_count{call="charge",outcome="succeeded"}' in shown


async def test_it_lives_while_charger_and_refunder_run_k11(service: Service) -> None:
    assert (await service.client.get("/actuator/health/liveness")).status_code == 200
    shown = (await service.client.get("/actuator/prometheus")).text
    assert 'task_up{task="charger"} 1.0' in shown
    assert 'task_up{task="refunder"} 1.0' in shown


async def refund(
    service: Service, payment: Json, body: Any, *, key: str | None = None, headers: Json | None = None
) -> Response:
    return await service.client.post(
        f"/api/v1/payments/{payment['id']}/refunds",
        json=body,
        headers=(headers or service.tokens.admin()) | {"Idempotency-Key": key or str(uuid4())},
    )


def notice(payment: Json, status: str, *, failure_reason: str | None = None) -> Json:
    charge = {"id": "ch_1", "idempotency_key": str(payment["id"]), "status": status, "failure_reason": failure_reason}
    return {"id": f"ev_{uuid7().hex}", "type": f"charge.{status}", "charge": charge}


async def tell(
    service: Service, body: Json | bytes, *, provider: str = "sandbox", signature: str | None = "good"
) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if signature == "good":
        signature = sign(SECRET, content, int(time.time()))
    headers = {} if signature is None else {HEADER.encode(): signature.encode("latin-1")}
    return await service.client.post(f"/api/v1/payments/webhooks/{provider}", content=content, headers=headers)


def assert_problem(answer: Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].endswith(f"/{code}"), problem
    assert problem["detail"]

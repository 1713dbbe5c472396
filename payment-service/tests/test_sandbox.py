"""The sandbox provider, by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from chassis.testing.server import running
from httpx import AsyncClient, Response

from payment_service.sandbox.app import create_app
from payment_service.sandbox.settings import Settings


async def charge(sandbox: AsyncClient, *, key: str | None = None, **changes: Any) -> Response:
    body = {"amount": 2598, "currency": "EUR", "payment_method": "card-ok", "reference": "order 1"} | changes
    return await sandbox.post("/charges", json=body, headers={"Idempotency-Key": key or str(uuid4())})


async def refund(sandbox: AsyncClient, charge_id: str, amount: int, *, key: str | None = None) -> Response:
    return await sandbox.post(
        f"/charges/{charge_id}/refunds", json={"amount": amount}, headers={"Idempotency-Key": key or str(uuid4())}
    )


@asynccontextmanager
async def sandbox_in(folder: Path) -> AsyncIterator[AsyncClient]:
    async with running(create_app(Settings(data=folder))) as url, AsyncClient(base_url=url) as client:
        yield client


class TestCharge:
    async def test_the_same_key_answers_the_first_charge_again(self, sandbox: AsyncClient) -> None:
        key, reference = str(uuid4()), str(uuid4())
        first = await charge(sandbox, key=key, reference=reference)

        answers = await asyncio.gather(*(charge(sandbox, key=key, reference=reference) for _ in range(10)))

        assert {answer.status_code for answer in answers} == {201}
        assert [answer.json() for answer in answers] == [first.json()] * 10
        listed = (await sandbox.get("/charges", params={"reference": reference})).json()["items"]
        assert listed == [first.json()]

    async def test_the_same_key_for_another_charge_is_refused(self, sandbox: AsyncClient) -> None:
        key = str(uuid4())
        await charge(sandbox, key=key)

        answer = await charge(sandbox, key=key, amount=1)

        assert answer.status_code == 422
        assert answer.json()["type"].endswith("idempotency-key-reused")

    async def test_slow_charges_are_pending_first(self, sandbox: AsyncClient) -> None:
        answer = await charge(sandbox, payment_method="provider-slow")

        assert answer.status_code == 202
        assert answer.json()["status"] == "pending"

    async def test_a_provider_that_is_down_works_after_a_while(self, sandbox: AsyncClient) -> None:
        key = str(uuid4())

        answers = [(await charge(sandbox, key=key, payment_method="provider-down")).status_code for _ in range(4)]

        assert answers == [503, 503, 503, 201]

    async def test_a_lost_answer_drops_the_connection_and_the_charge_is_there(self, sandbox: AsyncClient) -> None:
        key = str(uuid4())

        with pytest.raises(httpx.RemoteProtocolError):
            await charge(sandbox, key=key, payment_method="provider-lost")

        (found,) = (await sandbox.get("/charges", params={"idempotency_key": key})).json()["items"]
        assert found["status"] == "succeeded"
        assert (await charge(sandbox, key=key, payment_method="provider-lost")).json() == found

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": 0},
            {"amount": 2**63},
            {"currency": "EURO"},
            {"currency": "XXX"},
            {"payment_method": ""},
            {"payment_method": "card\0"},
            {"reference": None},
            {"tip": 1},
        ],
    )
    async def test_a_body_that_cannot_be_is_refused(self, sandbox: AsyncClient, changes: dict[str, Any]) -> None:
        assert (await charge(sandbox, **changes)).status_code == 422

    async def test_a_key_is_needed(self, sandbox: AsyncClient) -> None:
        assert (await sandbox.post("/charges", json={})).status_code == 422


class TestVoid:
    async def test_a_charge_that_was_called_off_is_never_made(self, sandbox: AsyncClient) -> None:
        key = {"Idempotency-Key": str(uuid4())}

        for _ in range(2):
            answer = await sandbox.post("/charges/void", headers=key)
            assert (answer.status_code, answer.json()) == (200, {"charge": None})

        late = await charge(sandbox, key=key["Idempotency-Key"])
        assert late.status_code == 409
        assert late.json()["type"].endswith("charge-voided")
        assert (await sandbox.get("/charges", params={"idempotency_key": key["Idempotency-Key"]})).json()["items"] == []

    async def test_a_charge_that_was_made_is_shown_and_stays(self, sandbox: AsyncClient) -> None:
        made = (await charge(sandbox)).json()

        answer = await sandbox.post("/charges/void", headers={"Idempotency-Key": made["idempotency_key"]})

        assert answer.json() == {"charge": made}


class TestRefund:
    async def test_the_same_key_refunds_once(self, sandbox: AsyncClient) -> None:
        made, key = (await charge(sandbox)).json(), str(uuid4())

        answers = [await refund(sandbox, made["id"], 1000, key=key) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [201] * 3
        assert len({answer.json()["id"] for answer in answers}) == 1
        shown = (await sandbox.get("/charges", params={"idempotency_key": made["idempotency_key"]})).json()
        assert shown["items"][0]["refunded_amount"] == 1000

    async def test_no_more_than_was_charged_is_refunded(self, sandbox: AsyncClient) -> None:
        made = (await charge(sandbox)).json()
        await refund(sandbox, made["id"], 2000)

        answer = await refund(sandbox, made["id"], 599)

        assert answer.status_code == 409
        assert "598" in answer.json()["detail"]

    async def test_what_was_not_charged_cannot_be_refunded(self, sandbox: AsyncClient) -> None:
        declined = (await charge(sandbox, payment_method="card-declined")).json()

        assert (await refund(sandbox, declined["id"], 1)).status_code == 409
        assert (await refund(sandbox, "ch_unknown", 1)).status_code == 404


async def test_its_books_outlive_a_restart_and_add_up(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        made = (await charge(sandbox)).json()
        for _ in range(10):
            await charge(sandbox, amount=10**18, currency="USD")  # in all, more than 2^63
        await charge(sandbox, payment_method="card-declined")
        await refund(sandbox, made["id"], 98)

    async with sandbox_in(tmp_path) as sandbox:
        shown = (await sandbox.get("/charges", params={"limit": 2})).json()
        rest = (await sandbox.get("/charges", params={"after": shown["items"][-1]["id"]})).json()
        totals = (await sandbox.get("/totals")).json()

    assert [len(shown["items"]), len(rest["items"])] == [2, 10]
    assert totals["items"] == [
        {"currency": "EUR", "charged": 2598, "refunded": 98},
        {"currency": "USD", "charged": 10**19, "refunded": 0},
    ]

"""The fleet around order-service: a customer who orders, and the neighbours that answer."""

from typing import Any
from uuid import UUID, uuid4

from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until
from httpx import Response

from order_service.settings import Settings

Json = dict[str, Any]


class Fleet:
    def __init__(self, service: ServiceUnderTest[Settings]) -> None:
        self._service = service
        self.product_id = str(uuid4())

    def order(self, **changes: Any) -> Json:
        """The body of a good order, changed."""
        return {
            "currency": "EUR",
            "payment_method": "card-ok",
            "lines": [{"product_id": self.product_id, "quantity": 2}],
        } | changes

    async def post_order(self, body: Any, *, headers: Json | None = None, key: str | None = None) -> Response:
        headers = (headers or self._service.tokens.customer()) | {"Idempotency-Key": key or str(uuid4())}
        return await self._service.client.post("/api/v1/orders", json=body, headers=headers)

    async def place(self, *, customer: Json | None = None, **changes: Any) -> Json:
        """An order that was taken."""
        answer = await self.post_order(self.order(**changes), headers=customer)
        assert answer.status_code == 202, answer.text
        order: Json = answer.json()
        return order

    async def reserve(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        lines = [{**line, "unit_price": 1299} for line in order["lines"]]
        data = {"order_id": order["id"], "lines": lines, "total": 2598, "currency": "EUR"}
        return await self._say("inventory.stock-reserved.v1", order, data, event_id)

    async def reject(self, order: Json, reason: str = "out-of-stock") -> UUID:
        return await self._say("inventory.stock-rejected.v1", order, {"reason": reason, "shortages": []})

    async def release(self, order: Json, reason: str) -> UUID:
        return await self._say("inventory.stock-released.v1", order, {"reason": reason})

    async def complete_payment(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        data = {"payment_id": str(uuid4()), "amount": 2598, "currency": "EUR", "provider_reference": "ch_1"}
        return await self._say("payment.completed.v1", order, data, event_id)

    async def fail_payment(self, order: Json) -> UUID:
        return await self._say("payment.failed.v1", order, {"payment_id": str(uuid4()), "reason": "declined"})

    async def confirmed(self, *, customer: Json | None = None) -> Json:
        """An order that was paid."""
        order = await self.place(customer=customer)
        await self.reserve(order)
        await self.complete_payment(order)
        return await self.becomes(order, "CONFIRMED")

    async def get(self, order: Json) -> Json:
        answer = await self._service.client.get(f"/api/v1/orders/{order['id']}", headers=self._service.tokens.admin())
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    async def becomes(self, order: Json, status: str) -> Json:
        """The order once it has this status."""

        async def shown() -> Json | None:
            now = await self.get(order)
            return now if now["status"] == status else None

        found: Json = await until(shown)
        return found

    async def has_heard(self, order: Json, event_id: UUID) -> None:
        """Returns once the service has handled the event."""

        async def on_timeline() -> bool:
            answer = await self._service.client.get(
                f"/api/v1/orders/{order['id']}/timeline", headers=self._service.tokens.admin()
            )
            return str(event_id) in [entry["event_id"] for entry in answer.json()["items"]]

        await until(on_timeline)

    async def _say(self, type_: str, order: Json, data: Json, event_id: UUID | None = None) -> UUID:
        topic = f"{type_.split('.')[0]}-events"
        return await self._service.neighbours.say(
            type_, topic=topic, key=order["id"], data={"order_id": order["id"], **data}, event_id=event_id
        )

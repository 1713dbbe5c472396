"""The fleet around payment-service: the neighbours that say what becomes of orders, and the books of the provider."""

from typing import Any
from uuid import UUID, uuid4

import httpx
from chassis.tables import InboxRow
from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until

from payment_service.settings import Settings

from .faults import FaultyProvider

Json = dict[str, Any]


class Order:
    """An order as the events tell of it."""

    def __init__(self, payment_method: str = "card-ok", total: int = 2598, customer_id: UUID | None = None) -> None:
        self.id = uuid4()
        self.customer_id = customer_id or uuid4()
        self.payment_method = payment_method
        self.total = total


class Fleet:
    def __init__(
        self, service: ServiceUnderTest[Settings], sandbox: httpx.AsyncClient, provider: FaultyProvider
    ) -> None:
        self._service = service
        self._admin = service.tokens.admin()  # signed once: that is what takes long about a token
        self.sandbox = sandbox
        self.provider = provider

    async def reserve(self, order: Order, *, event_id: UUID | None = None) -> UUID:
        data = {
            "customer_id": order.customer_id,
            "payment_method": order.payment_method,
            "currency": "EUR",
            "lines": [{"product_id": uuid4(), "quantity": 2, "unit_price": order.total // 2}],
            "total": order.total,
            "expires_at": "2026-01-01T00:01:30Z",
        }
        return await self._say("inventory.stock-reserved.v1", order, data, event_id)

    async def release(self, order: Order, reason: str) -> UUID:
        return await self._say("inventory.stock-released.v1", order, {"reason": reason})

    async def cancel(self, order: Order, reason: str = "customer", *, event_id: UUID | None = None) -> UUID:
        data = {"reason": reason, "cancelled_by": order.customer_id}
        return await self._say("order.cancelled.v1", order, data, event_id)

    async def paid(self, **order: Any) -> tuple[Order, Json]:
        """An order that was paid, and its payment."""
        new = Order(**order)
        await self.reserve(new)
        return new, await self.becomes(new, "SUCCEEDED")

    async def find_payment(self, order: Order) -> Json | None:
        answer = await self._service.client.get(f"/api/v1/payments?order_id={order.id}", headers=self._admin)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["items"]
        assert len(found) <= 1
        return found[0] if found else None

    async def becomes(self, order: Order, status: str) -> Json:
        """The payment once it has this status."""

        async def shown() -> Json | None:
            payment = await self.find_payment(order)
            return payment if payment and payment["status"] == status else None

        found: Json = await until(shown)
        return found

    async def has_heard(self, event_id: UUID) -> None:
        """Returns once the service has handled the event."""

        async def in_inbox() -> bool:
            async with self._service.app.state.database.begin() as session:
                return await session.get(InboxRow, event_id) is not None

        await until(in_inbox)

    async def has_called(self, order: Order, *calls: str) -> None:
        """Returns once the provider was called like this, first of all."""
        await until(lambda: self.provider.calls[order.id][: len(calls)] == list(calls))

    async def has_voided(self, order: Order, *, times: int = 1) -> None:
        """Returns once the provider was asked so often to call the charge off."""
        await until(lambda: self.provider.calls[order.id].count("void") >= times)

    async def charges(self, order: Order) -> list[Json]:
        """What the provider has in its books."""
        answer = await self.sandbox.get("/charges", params={"reference": str(order.id)})
        assert answer.status_code == 200, answer.text
        items: list[Json] = answer.json()["items"]
        return items

    def said(self, order: Order) -> list[str]:
        """The types of what payment-service has said of an order, in its order."""
        return [envelope.type for envelope in self._service.said.of(order.id) if envelope.topic == "payment-events"]

    async def _say(self, type_: str, order: Order, data: Json, event_id: UUID | None = None) -> UUID:
        topic = f"{type_.split('.')[0]}-events"
        return await self._service.neighbours.say(
            type_, topic=topic, key=order.id, data={"order_id": order.id, **data}, event_id=event_id
        )

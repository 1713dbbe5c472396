"""The fleet around inventory-service: an admin who stocks products, and the neighbours that tell of orders."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chassis.database import Database
from chassis.ids import uuid7
from chassis.tables import InboxRow
from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until
from httpx import Response
from sqlalchemy import func, select

from inventory_service.settings import Settings

Json = dict[str, Any]

API = "/api/v1/inventory"


class Fleet:
    def __init__(self, service: ServiceUnderTest[Settings]) -> None:
        self._service = service
        self._admin = service.tokens.admin()

    def product(self, **changes: Any) -> Json:
        """The body of a good product, changed."""
        return {"sku": f"SKU-{uuid4()}", "name": "Mug", "price": 1299, "currency": "EUR", "on_hand": 20} | changes

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Json | None = None, **parameters: Any
    ) -> Response:
        """A request, by an admin if no headers say otherwise."""
        headers = self._admin if headers is None else headers
        return await self._service.client.request(method, API + path, json=body, headers=headers, params=parameters)

    async def create(self, **changes: Any) -> Json:
        """A product in the catalogue."""
        answer = await self.ask("POST", "/products", self.product(**changes))
        assert answer.status_code == 201, answer.text
        product: Json = answer.json()
        return product

    async def stock(self, product: Json) -> tuple[int, int]:
        """What is on hand and what is reserved of it."""
        answer = await self.ask("GET", f"/products/{product['id']}")
        assert answer.status_code == 200, answer.text
        return answer.json()["on_hand"], answer.json()["reserved"]

    def order(self, *products: Json, quantity: int = 2, **changes: Any) -> Json:
        """The data of an order's placing, changed."""
        return {
            "order_id": str(uuid7()),
            "customer_id": str(uuid4()),
            "currency": "EUR",
            "payment_method": "card-ok",
            "lines": [{"product_id": product["id"], "quantity": quantity} for product in products],
            "deadline": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
        } | changes

    async def place(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        return await self._say("order.placed.v1", order, order, event_id)

    async def cancel(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        return await self._say("order.cancelled.v1", order, {"reason": "customer", "cancelled_by": "x"}, event_id)

    async def ship(self, order: Json) -> UUID:
        return await self._say("order.shipped.v1", order, {"carrier": "Post", "tracking_number": "1"})

    async def complete_payment(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        data = {"payment_id": str(uuid4()), "amount": 2598, "currency": "EUR", "provider_reference": "ch_1"}
        return await self._say("payment.completed.v1", order, data, event_id)

    async def fail_payment(self, order: Json, *, event_id: UUID | None = None) -> UUID:
        return await self._say("payment.failed.v1", order, {"payment_id": str(uuid4()), "reason": "declined"}, event_id)

    async def reserved(self, *products: Json, **changes: Any) -> Json:
        """An order whose stock is held."""
        order = self.order(*products, **changes)
        await self.place(order)
        await self.becomes(order, "HELD")
        return order

    async def committed(self, *products: Json, **changes: Any) -> Json:
        """An order that was paid."""
        order = await self.reserved(*products, **changes)
        await self.complete_payment(order)
        await self.becomes(order, "COMMITTED")
        return order

    async def reservation(self, order: Json) -> Json | None:
        answer = await self.ask("GET", f"/reservations/{order['order_id']}")
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.status_code == 200 else None

    async def becomes(self, order: Json, *statuses: str) -> Json:
        """The order's reservation once it has one of these statuses."""

        async def shown() -> Json | None:
            now = await self.reservation(order)
            return now if now and now["status"] in statuses else None

        found: Json = await until(shown)
        return found

    async def has_heard(self, *event_ids: UUID) -> None:
        """Returns once the service has handled the events."""
        database: Database = self._service.app.state.database

        async def in_inbox() -> bool:
            query = select(func.count()).select_from(InboxRow).where(InboxRow.id.in_(event_ids))
            async with database.begin() as session:
                return await session.scalar(query) == len(event_ids)

        await until(in_inbox)

    def told(self, key: Json) -> list[str]:
        """The types of what the service has said so far of an order or a product, in order."""
        known = self._service.said.of(key.get("order_id", key.get("id")))
        return [envelope.type for envelope in known if envelope.topic == "inventory-events"]

    async def _say(self, type_: str, order: Json, data: Json, event_id: UUID | None = None) -> UUID:
        topic = f"{type_.split('.')[0]}-events"
        return await self._service.neighbours.say(
            type_, topic=topic, key=order["order_id"], data={"order_id": order["order_id"], **data}, event_id=event_id
        )

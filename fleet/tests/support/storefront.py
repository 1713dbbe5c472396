"""People who shop through the gateway of a running fleet."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
from chassis.testing.waiting import until

Json = dict[str, Any]

AT_REST = {"CONFIRMED", "CANCELLED"}


class Storefront:
    """The whole fleet, as its customers and its admin see it. `home` is the folder that it runs in."""

    def __init__(self, home: Path, client: httpx.AsyncClient, admin: dict[str, str]) -> None:
        self.home = home
        self.client = client
        self.admin = admin

    @classmethod
    async def enter(cls, home: Path, client: httpx.AsyncClient) -> "Storefront":
        """Log the admin in."""
        shop = cls(home, client, {})
        admin = shop.about()["admin"]
        shop.admin = await shop.log_in(admin["email"], admin["password"])
        return shop

    def about(self) -> Json:
        """What `.run/fleet.json` says."""
        return cast(Json, json.loads((self.home / ".run" / "fleet.json").read_text()))

    def pid_of(self, name: str) -> int | None:
        """The id of the process of this name; None while it is being started again."""
        running = self.about()["processes"].get(name)
        return int(running[0]["pid"]) if running else None

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the process of this name; its id."""
        pid = self.pid_of(name)
        assert pid is not None
        os.kill(pid, how)
        return pid

    async def log_in(self, email: str, password: str) -> dict[str, str]:
        """Request headers of somebody with an account."""
        answer = await self.client.post("/api/v1/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def customer(self) -> dict[str, str]:
        """Request headers of a new customer."""
        name = f"c-{uuid4().hex[:12]}"
        account = {"username": name, "email": f"{name}@example.com", "full_name": name, "password": "a good password"}
        answer = await self.client.post("/api/v1/auth/register", json=account)
        assert answer.status_code == 201, answer.text
        return await self.log_in(account["email"], account["password"])

    async def product(self, *, stock: int, price: int = 1299) -> Json:
        body = {"sku": uuid4().hex, "name": "Mug", "price": price, "currency": "EUR", "on_hand": stock}
        answer = await self.client.post("/api/v1/inventory/products", json=body, headers=self.admin)
        assert answer.status_code == 201, answer.text
        return cast(Json, answer.json())

    async def stock(self, product: Json) -> Json:
        """`on_hand`, `reserved` and `available` now."""
        return await self.get(f"/api/v1/inventory/products/{product['id']}")

    async def try_order(
        self,
        product: Json,
        customer: dict[str, str],
        *,
        quantity: int = 1,
        payment_method: str = "card-ok",
        key: str | None = None,
    ) -> httpx.Response:
        body = {
            "currency": "EUR",
            "payment_method": payment_method,
            "lines": [{"product_id": product["id"], "quantity": quantity}],
        }
        return await self.client.post(
            "/api/v1/orders", json=body, headers=customer | {"Idempotency-Key": key or str(uuid4())}
        )

    async def order(self, product: Json, customer: dict[str, str], **how: Any) -> Json:
        """An order that was taken."""
        answer = await self.try_order(product, customer, **how)
        assert answer.status_code == 202, answer.text
        return cast(Json, answer.json())

    async def at_rest(self, order: Json, *, timeout_seconds: float = 15.0) -> Json:
        """The order once it is CONFIRMED or CANCELLED."""
        return await self.until(order, lambda now: now["status"] in AT_REST, timeout_seconds=timeout_seconds)

    async def until(self, order: Json, condition: Callable[[Json], bool], *, timeout_seconds: float = 15.0) -> Json:
        """The order once the condition holds. Raises TimeoutError with how far it came."""
        seen = [order]

        async def look() -> bool:
            seen.append(await self.get(f"/api/v1/orders/{order['id']}"))
            return condition(seen[-1])

        try:
            await until(look, timeout_seconds=timeout_seconds)
        except TimeoutError:
            raise TimeoutError(f"order {order['id']} is still {seen[-1]['status']}") from None
        return seen[-1]

    async def timeline(self, order: Json) -> list[Json]:
        return cast(list[Json], (await self.get(f"/api/v1/orders/{order['id']}/timeline"))["items"])

    async def is_on_timeline(self, order: Json, event_type: str) -> None:
        """Returns once an event of this type is on the order's timeline."""

        async def shown() -> bool:
            return event_type in [entry["type"] for entry in await self.timeline(order)]

        await until(shown)

    async def payments(self, order: Json) -> list[Json]:
        return cast(list[Json], (await self.get("/api/v1/payments", order_id=order["id"]))["items"])

    async def settled_payment(self, order: Json, *statuses: str) -> Json:
        """The order's payment, once it has one of these statuses."""

        async def settled() -> list[Json]:
            return [payment for payment in await self.payments(order) if payment["status"] in statuses]

        [payment] = await until(settled, timeout_seconds=15)
        return cast(Json, payment)

    async def stock_becomes(self, product: Json, available: int) -> Json:
        """The product once so much of it is available and nothing is reserved any more."""

        async def settled() -> Json | None:
            now = await self.stock(product)
            return now if (now["available"], now["reserved"]) == (available, 0) else None

        return cast(Json, await until(settled))

    async def get(self, path: str, **params: str) -> Json:
        """As the admin, who sees all; answered again while a service that was killed comes back."""

        async def answered() -> httpx.Response | None:
            answer = await self.client.get(path, params=params, headers=self.admin)
            return answer if answer.status_code < 500 and answer.status_code != 429 else None

        answer = await until(answered, timeout_seconds=15)
        assert answer.status_code == 200, answer.text
        return cast(Json, answer.json())

    async def all_of(self, path: str, **params: str) -> list[Json]:
        """Every item of a list, page by page."""
        items: list[Json] = []
        cursor: Mapping[str, str] = {}
        while True:
            page = await self.get(path, limit="100", **params, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

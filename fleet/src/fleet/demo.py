"""Three orders through the gateway, by a new customer: one is confirmed, one is out of stock, one is declined."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .state import FleetProblem

_PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_AT_REST = {"CONFIRMED", "CANCELLED"}
_STYLES = {"CONFIRMED": "green", "CANCELLED": "yellow"}

_PRODUCTS = {"Mug, blue": (1_250, 20), "Teapot": (3_900, 5)}
"""Each one's price in minor units and the stock."""


@dataclass(kw_only=True)
class Story:
    """One order, and how it is meant to end."""

    title: str
    product: str
    quantity: int
    payment_method: str
    ends: str
    because: str | None = None
    order: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return str(self.order.get("status", ""))

    @property
    def outcome(self) -> str:
        reason = self.order.get("status_reason")
        return f"{self.status} ({reason})" if reason else self.status

    @property
    def meant_outcome(self) -> str:
        return f"{self.ends} ({self.because})" if self.because else self.ends


def stories() -> list[Story]:
    return [
        Story(
            title="in stock, card accepted", product="Mug, blue", quantity=2, payment_method="card-ok", ends="CONFIRMED"
        ),
        Story(
            title="more than there is",
            product="Teapot",
            quantity=1_000,
            payment_method="card-ok",
            ends="CANCELLED",
            because="out-of-stock",
        ),
        Story(
            title="card declined",
            product="Mug, blue",
            quantity=1,
            payment_method="card-declined",
            ends="CANCELLED",
            because="payment-failed",
        ),
    ]


def run(console: Console, gateway_url: str, admin_email: str, admin_password: str) -> None:
    """Raises FleetProblem when an order does not end as it is meant to."""
    with httpx.Client(base_url=gateway_url, timeout=10.0, trust_env=False) as client:
        shop = _Shop(client)
        try:
            admin = shop.login(admin_email, admin_password)
            products = {name: shop.add_product(admin, name, *of) for name, of in _PRODUCTS.items()}
            email, customer = shop.new_customer()
            console.print(f"\nThree orders of a new customer, {email}, through {gateway_url}:", soft_wrap=True)
            told = stories()
            for story in told:
                story.order = shop.place_order(customer, products[story.product], story)
            with _shown(console, told) as show:
                _follow(shop, customer, told, show)
            for story in told:
                console.print(
                    f"\n[bold]{story.title}: {story.outcome}[/bold] [dim]{story.order['id']}[/dim]", soft_wrap=True
                )
                console.print(_timeline(shop.timeline(customer, story.order["id"])))
        except httpx.HTTPError as error:
            raise FleetProblem(f"The gateway at {gateway_url} does not answer: {error!r}.") from error


def _follow(shop: "_Shop", customer: str, told: Sequence[Story], show: "_Show") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(story.status not in _AT_REST for story in told):
        if time.monotonic() > deadline:
            waiting = ", ".join(f"{s.order['id']} is {s.outcome}" for s in told if s.status not in _AT_REST)
            raise FleetProblem(f"Not every order came to its end within {_PATIENCE_SECONDS:.0f} s: {waiting}.")
        time.sleep(_LOOK_SECONDS)
        for story in told:
            if story.status not in _AT_REST:
                story.order = shop.order(customer, story.order["id"])
        show.update()
    for story in told:
        if story.outcome != story.meant_outcome:
            raise FleetProblem(
                f"The order {story.order['id']} ({story.title}) is {story.outcome}, and not {story.meant_outcome}."
            )


class _Shop:
    """The calls that the demo makes."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def login(self, email: str, password: str) -> str:
        answer = self._call("POST", "/api/v1/auth/login", body={"email": email, "password": password})
        return str(answer["access_token"])

    def new_customer(self) -> tuple[str, str]:
        name, password = f"demo-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        email = f"{name}@flotilla.example"
        account = {"username": name, "email": email, "full_name": "Demo Customer", "password": password}
        self._call("POST", "/api/v1/auth/register", body=account)
        return email, self.login(email, password)

    def add_product(self, admin: str, name: str, price: int, on_hand: int) -> str:
        """Its id."""
        product = {"sku": f"DEMO-{secrets.token_hex(4).upper()}", "name": name, "price": price, "currency": "EUR"}
        made = self._call("POST", "/api/v1/inventory/products", admin, {**product, "on_hand": on_hand})
        return str(made["id"])

    def place_order(self, customer: str, product_id: str, story: Story) -> dict[str, Any]:
        order = {
            "currency": "EUR",
            "payment_method": story.payment_method,
            "lines": [{"product_id": product_id, "quantity": story.quantity}],
        }
        return self._call("POST", "/api/v1/orders", customer, order)

    def order(self, customer: str, order_id: str) -> dict[str, Any]:
        return self._call("GET", f"/api/v1/orders/{order_id}", customer)

    def timeline(self, customer: str, order_id: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call("GET", f"/api/v1/orders/{order_id}/timeline", customer)["items"]
        return items

    def _call(self, method: str, path: str, token: str = "", body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": secrets.token_hex(16)} if method == "POST" else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self._client.request(method, path, headers=headers, json=body)
        if answer.is_error:
            raise FleetProblem(f"{method} {path} was answered with {answer.status_code}: {answer.text[:500]}")
        content: dict[str, Any] = answer.json()
        return content


class _Show:
    """The orders as they go: a table that changes on a terminal, a line for each change elsewhere."""

    def __init__(self, console: Console, told: Sequence[Story], live: Live | None) -> None:
        self._console = console
        self._told = told
        self._live = live
        self._shown: dict[str, str] = {}
        self.update()

    def update(self) -> None:
        if self._live is not None:
            self._live.update(_orders(self._told))
            return
        for story in self._told:
            if self._shown.get(story.title) != story.outcome:
                self._shown[story.title] = story.outcome
                self._console.print(f"  {story.title}: {story.outcome}")


@contextmanager
def _shown(console: Console, told: Sequence[Story]) -> Iterator[_Show]:
    if not console.is_terminal:
        yield _Show(console, told, None)
        return
    with Live(console=console, refresh_per_second=20) as live:
        yield _Show(console, told, live)


def _orders(told: Sequence[Story]) -> Table:
    table = Table.grid(padding=(0, 2))
    for story in told:
        what = f"{story.quantity} x {story.product}, {story.payment_method}"
        outcome = Text(story.outcome, style=_STYLES.get(story.status, "cyan"))
        table.add_row(f"  {story.title}", Text(what, style="dim"), outcome)
    return table


def _timeline(events: Sequence[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for event in events:
        source = str(event["source"]).strip("/")
        table.add_row(f"  {str(event['time'])[11:23]}", str(event["type"]), Text(source, style="dim"))
    return table

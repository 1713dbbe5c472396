"""Services are killed at random moments while orders are being placed: nothing accepted is lost, doubled or stuck.

`FLEET_CHAOS_ORDERS` and `FLEET_CHAOS_KILLS` make it longer; `FLEET_CHAOS_SEED` repeats a run.
"""

import asyncio
import os
import random
import sys
from typing import cast
from uuid import uuid4

import httpx
from chassis.testing.waiting import until
from support.storefront import Json, Storefront

ORDERS = int(os.environ.get("FLEET_CHAOS_ORDERS", "40"))
KILLS = int(os.environ.get("FLEET_CHAOS_KILLS", "6"))
SEED = int(os.environ.get("FLEET_CHAOS_SEED", random.randrange(10**6)))
VICTIMS = ("order-service", "inventory-service", "payment-service")
METHODS = ("card-ok", "card-ok", "card-ok", "card-declined", "provider-lost", "paypal-ok")


async def test_after_kills_at_random_moments_every_order_has_ended_and_stock_and_money_agree_s6_s9(
    shop: Storefront,
) -> None:
    chance = random.Random(SEED)
    sys.stdout.write(f"seed {SEED}, {ORDERS} orders, {KILLS} kills\n")
    stock = ORDERS * 2 // 3
    product = await shop.product(stock=stock)
    customers = [await shop.customer() for _ in range(5)]
    done_placing = asyncio.Event()

    placing = [
        asyncio.create_task(_place_for_sure(shop, product, chance.choice(customers), chance.choice(METHODS), delay))
        for delay in sorted(chance.uniform(0, KILLS * 0.6) for _ in range(ORDERS))
    ]
    killing = asyncio.create_task(_kill(shop, chance, done_placing))
    accepted = await asyncio.gather(*placing)
    done_placing.set()
    kills = await killing

    ended = await asyncio.gather(*(shop.at_rest(order, timeout_seconds=90) for order in accepted))

    assert kills >= KILLS
    assert len({order["id"] for order in accepted}) == ORDERS
    for order in ended:
        assert order["status"] == "CONFIRMED" or order["status_reason"], order
    confirmed = [order for order in ended if order["status"] == "CONFIRMED"]
    assert (await shop.stock_becomes(product, stock - len(confirmed)))["on_hand"] == stock - len(confirmed)
    await until(lambda: _money_is_settled(shop, accepted), timeout_seconds=30)
    charged = await _charged(shop, accepted)
    assert charged == sum(order["total"] for order in confirmed)
    sys.stdout.write(f"{len(confirmed)} confirmed, {ORDERS - len(confirmed)} cancelled, {kills} kills\n")


async def _place_for_sure(shop: Storefront, product: Json, customer: dict[str, str], method: str, delay: float) -> Json:
    """Place an order as a careful client does: again with the same key until there is an answer."""
    await _let_pass(delay)
    key = str(uuid4())

    async def taken() -> Json | None:
        try:
            answer = await shop.try_order(product, customer, payment_method=method, key=key)
        except httpx.TransportError:
            return None
        assert answer.status_code == 202 or answer.status_code >= 500 or answer.status_code in (409, 429), answer.text
        return cast(Json, answer.json()) if answer.status_code == 202 else None

    return cast(Json, await until(taken, timeout_seconds=60))


async def _kill(shop: Storefront, chance: random.Random, done_placing: asyncio.Event) -> int:
    """Kill one service after the other, each once it is back: KILLS times, and as long as orders are placed."""
    kills = 0
    while kills < KILLS or not done_placing.is_set():
        await _let_pass(chance.uniform(0.05, 0.6))
        await _kill_one(shop, chance.choice(VICTIMS))
        kills += 1
    return kills


async def _kill_one(shop: Storefront, victim: str) -> None:
    """Returns once another process has taken its place."""
    killed = shop.kill(victim)
    await until(lambda: shop.pid_of(victim) not in (killed, None))


async def _let_pass(seconds: float) -> None:
    """Chance chooses a moment; nothing is waited for."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def _charged(shop: Storefront, orders: list[Json]) -> int:
    """What was taken for these orders and not given back."""
    payments = [payment for order in orders for payment in await shop.payments(order)]
    return sum(
        payment["amount"] - payment["refunded_amount"]
        for payment in payments
        if payment["status"] in ("SUCCEEDED", "REFUNDED", "PARTIALLY_REFUNDED")
    )


async def _money_is_settled(shop: Storefront, orders: list[Json]) -> bool:
    """Whether no charge and no refund is under way any more."""
    for order in orders:
        ended = (await shop.get(f"/api/v1/orders/{order['id']}"))["status"]
        open_statuses = {"PENDING"} | ({"SUCCEEDED", "PARTIALLY_REFUNDED"} if ended == "CANCELLED" else set())
        if any(payment["status"] in open_statuses for payment in await shop.payments(order)):
            return False
    return True

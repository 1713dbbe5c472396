"""A change of the configuration reaches the running fleet: no process starts again, no request fails."""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
from chassis.testing.waiting import until
from config_server.publish import publish
from support.storefront import Storefront

from fleet.state import Home, Secrets

logger = logging.getLogger(__name__)

ROUTE = """
    - id: shop-window
      prefix: /shop-window
      uri: lb://inventory-service
      strip-prefix: true
      rules:
        - { methods: [GET], path: /api/v1/inventory/products, access: public }
"""


async def test_a_log_level_and_a_route_are_live_within_two_seconds_of_the_webhook(shop: Storefront) -> None:
    home, files = Home(shop.home), shop.home / "config-files"
    level_file, route_file = files / "order-service.yml", files / "gateway.yml"
    before = {file: await asyncio.to_thread(file.read_text) for file in (level_file, route_file)}
    processes = shop.about()["processes"]
    assert await level_of(shop) == "INFO"
    assert not await route_is_there(shop)
    stop = asyncio.Event()
    customers = asyncio.create_task(look_at_products(shop, stop))

    try:
        level_file.write_text(f"{before[level_file]}\nlog.level: DEBUG\n")
        route_file.write_text(before[route_file].rstrip() + ROUTE)
        commit = await asyncio.to_thread(publish, files, home.config_repository)
        began = time.monotonic()
        told = await send_webhook(home, shop, ["order-service.yml", "gateway.yml"], commit)
        level_seconds, route_seconds = await asyncio.gather(
            seconds_until(lambda: level_is(shop, "DEBUG"), began), seconds_until(lambda: route_is_there(shop), began)
        )
    finally:
        for file, text in before.items():
            file.write_text(text)
        await asyncio.to_thread(publish, files, home.config_repository)
    await until(lambda: level_is(shop, "INFO"))
    stop.set()
    statuses = await customers

    assert told == ["order-service", "order", "gateway"]
    assert max(level_seconds, route_seconds) < 2.0
    assert set(statuses) == {200}
    assert shop.about()["processes"] == processes
    logger.info(
        "commit %s: the level after %.2f s, the route after %.2f s; %d requests meanwhile, none failed",
        *(commit[:12], level_seconds, route_seconds, len(statuses)),
    )


async def send_webhook(home: Home, shop: Storefront, files: list[str], commit: str) -> list[str]:
    """As GitHub sends it; the names that config-server answers."""
    secret = Secrets(home.secrets_file).of("webhooks of the configuration")
    body = json.dumps({"ref": "refs/heads/main", "commits": [{"id": commit, "modified": files}]}).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid4()),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{shop.about()['config_url']}/monitor", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    names: list[str] = answer.json()
    return names


async def look_at_products(shop: Storefront, stop: asyncio.Event) -> list[int]:
    """The statuses that somebody got who looks at the products some thirty times a second, until he is stopped."""
    statuses = []
    while not stop.is_set():
        statuses.append((await shop.client.get("/api/v1/inventory/products")).status_code)
        await asyncio.sleep(0.03)
    return statuses


async def level_of(shop: Storefront) -> str:
    answer = await shop.client.get("/order-service/actuator/loggers", headers=shop.admin)
    assert answer.status_code == 200, answer.text
    level: str = answer.json()["loggers"]["root"]["effectiveLevel"]
    return level


async def level_is(shop: Storefront, level: str) -> bool:
    return await level_of(shop) == level


async def route_is_there(shop: Storefront) -> bool:
    return (await shop.client.get("/shop-window/api/v1/inventory/products")).status_code == 200


async def seconds_until(condition: Callable[[], Awaitable[bool]], began: float) -> float:
    await until(condition)
    return time.monotonic() - began

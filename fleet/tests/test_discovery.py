"""Discovery-servers, gateway and services together, on real sockets, under load: who comes, who leaves, who fails."""

import asyncio
import os
import signal
import socket
import statistics
import sys
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import discovery_server.app
import discovery_server.rest.server
import gateway.app
import gateway.settings
import httpx
import pytest_asyncio
from chassis.testing.server import free_socket, running
from chassis.testing.waiting import until
from discovery_server.settings import DiscoverySettings
from gateway.routes import Route
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as Path

ROUTES = [{"id": "a", "prefix": "/a", "uri": "lb://a-service", "access": "public"}]
PROMISE_SECONDS = 0.2

# A service as all of the fleet are: it registers when it is ready, and drains and leaves when it is told to stop.
SERVICE = """
from typing import ClassVar
from fastapi import FastAPI
from chassis.health import Health
from chassis.service import serve
from chassis.settings import ServiceSettings
from chassis.web import add_service_defaults

class Settings(ServiceSettings):
    service_name: ClassVar[str] = "a-service"

def create_app(settings):
    app = FastAPI()
    add_service_defaults(app, settings, health=Health())

    @app.post("/a")
    async def take() -> int:
        return settings.port

    return app

serve(Settings, create_app)
"""


@dataclass
class Platform:
    """A discovery-server, and a gateway that routes `/a` to a-service."""

    discovery_url: str
    """As services are told it: several with commas."""
    client: httpx.AsyncClient

    async def registered(self) -> int:
        """How many instances of a-service are UP."""
        url = f"{self.discovery_url.rpartition(',')[2]}/eureka/apps/A-SERVICE"
        answer = await self.client.get(url, headers={"Accept": "application/json"})
        found = answer.json()["application"]["instance"] if answer.status_code == 200 else []
        return sum(entry["status"] == "UP" for entry in found)


@pytest_asyncio.fixture(loop_scope="session")
async def platform() -> AsyncIterator[Platform]:
    async with discovery() as url, routing(url) as client:
        yield Platform(url, client)


@asynccontextmanager
async def discovery(listener: socket.socket | None = None, *, peers: str = "") -> AsyncIterator[str]:
    listener = listener or free_socket()
    settings = DiscoverySettings.of(
        {
            "port": listener.getsockname()[1],
            "discovery-server.anonymous": True,
            "discovery-server.peers": peers,
            "discovery-server.warm-up-seconds": 0,
        }
    )
    async with running(
        discovery_server.app.create_app(settings), listener, **discovery_server.rest.server.SERVER_OPTIONS
    ) as url:
        yield url


@asynccontextmanager
async def routing(discovery_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway; a client of it."""
    settings = gateway.settings.Settings(
        routes=[Route.model_validate(route) for route in ROUTES],
        discovery_url=discovery_url,
        jwks_url="http://127.0.0.1:1/nobody-signs-here",
        rate_per_second=0,
    )
    async with (
        running(gateway.app.create_app(settings), **gateway.app.SERVER_OPTIONS) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client,
    ):
        yield client


@dataclass
class Worker:
    """An instance of a-service that notes when it is asked."""

    url: str = ""
    last_asked_at: float = float("-inf")
    asked: int = 0

    @property
    def key(self) -> str:
        return self.url.removeprefix("http://")

    async def answer(self, _: Request) -> JSONResponse:
        self.last_asked_at = time.monotonic()
        self.asked += 1
        return JSONResponse({})

    def registration(self, status: str) -> dict[str, Any]:
        host, _, port = self.key.partition(":")
        return {
            "instance": {
                "instanceId": self.key,
                "app": "A-SERVICE",
                "hostName": host,
                "ipAddr": host,
                "status": status,
                "port": {"$": int(port), "@enabled": "true"},
                "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
                "lastDirtyTimestamp": str(time.time_ns() // 1_000_000),
            }
        }


@asynccontextmanager
async def working() -> AsyncIterator[Worker]:
    worker = Worker()
    async with running(Starlette(routes=[Path("/a", worker.answer, methods=["POST"])])) as worker.url:
        yield worker


@dataclass
class Load:
    """Clients who ask one after the other, without a pause; POSTs, which are never sent twice."""

    client: httpx.AsyncClient
    statuses: Counter[int] = field(default_factory=Counter)

    answers: set[bytes] = field(default_factory=set)

    async def ask_for_ever(self) -> None:
        while True:
            answer = await self.client.post("/a")
            self.statuses[answer.status_code] += 1
            self.answers.add(answer.content)


@asynccontextmanager
async def under_load(platform: Platform, *, clients: int = 4) -> AsyncIterator[Load]:
    load = Load(platform.client)
    asking = [asyncio.create_task(load.ask_for_ever()) for _ in range(clients)]
    try:
        yield load
    finally:
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [error for error in ended if not isinstance(error, asyncio.CancelledError)] == []


async def test_an_instance_that_leaves_gets_its_last_request_within_200_ms(platform: Platform) -> None:
    delays: dict[str, list[float]] = {"DELETE": [], "DOWN": [], "back": []}
    async with working() as stays, working() as leaves, httpx.AsyncClient(trust_env=False) as own:
        apps = f"{platform.discovery_url}/eureka/apps/A-SERVICE"

        for worker in (stays, leaves):
            assert (await own.post(apps, json=worker.registration("UP"))).status_code == 204
        # Somebody has just registered: that is heard of as fast.
        await until(lambda: _answers(platform))
        async with under_load(platform) as load:
            await _pass(lambda: leaves.asked, 1)
            for how in ("DELETE", "DOWN") * 5:
                began = time.monotonic()
                if how == "DELETE":
                    told = await own.delete(f"{apps}/{leaves.key}")
                else:
                    told = await own.post(apps, json=leaves.registration("DOWN"))
                assert told.is_success
                # Enough requests for the one that is gone to have had its part of them, and longer than is promised.
                await _pass(lambda: stays.asked, 50)
                await _pass(time.monotonic, 0.3)
                delays[how].append(max(0.0, leaves.last_asked_at - began))

                began = time.monotonic()
                assert (await own.post(apps, json=leaves.registration("UP"))).is_success
                await _pass(lambda: leaves.asked, 1)
                delays["back"].append(time.monotonic() - began)

    assert set(load.statuses) == {200}
    for how, seconds in delays.items():
        sys.stdout.write(
            f"{how}: median {statistics.median(seconds) * 1000:.1f} ms, longest {max(seconds) * 1000:.1f} ms\n"
        )
    assert max(delays["DELETE"] + delays["DOWN"]) < PROMISE_SECONDS


async def test_no_request_fails_while_instances_are_replaced_one_after_the_other_o2(platform: Platform) -> None:
    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(_instance(platform)) for _ in range(2)]
        await until(lambda: _are_up(platform, 2), timeout_seconds=30)
        await until(lambda: _answers(platform))
        async with under_load(platform) as load:
            for _ in range(2):
                oldest = instances.pop(0)
                oldest.send_signal(signal.SIGTERM)
                assert await oldest.wait() == 0
                await until(lambda: _are_up(platform, 1))
                await _pass(load.statuses.total, 50)
                instances.append(await stack.enter_async_context(_instance(platform)))
                await until(lambda: _are_up(platform, 2), timeout_seconds=30)

        assert set(load.statuses) == {200}
        assert load.statuses.total() > 200


async def test_one_of_two_discovery_servers_ends_and_nobody_notices_d7() -> None:
    listeners = [free_socket() for _ in range(2)]
    urls = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    peers = ",".join(f"{url}/eureka" for url in urls)
    async with AsyncExitStack() as stack, AsyncExitStack() as first:
        await first.enter_async_context(discovery(listeners[0], peers=peers))
        await stack.enter_async_context(discovery(listeners[1], peers=peers))
        both = Platform(",".join(urls), await stack.enter_async_context(routing(",".join(urls))))
        await stack.enter_async_context(_instance(both))
        await until(lambda: _are_up(both, 1), timeout_seconds=30)
        await until(lambda: _answers(both))
        async with under_load(both) as load:
            await first.aclose()

            await _pass(load.statuses.total, 50)
            await stack.enter_async_context(_instance(both))
            await until(lambda: _are_up(both, 2), timeout_seconds=30)
            await until(lambda: len(load.answers) == 2)  # each says its port

        assert set(load.statuses) == {200}


@asynccontextmanager
async def _instance(platform: Platform) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVICE,
        env={**os.environ, "PORT": "0", "DISCOVERY_URL": platform.discovery_url},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _pass(measure: Callable[[], float], more: float) -> None:
    """Wait until there is so much more of something."""
    wanted = measure() + more
    await until(lambda: measure() >= wanted)


async def _are_up(platform: Platform, number: int) -> bool:
    return await platform.registered() == number


async def _answers(platform: Platform) -> bool:
    return (await platform.client.post("/a")).status_code == 200

"""A peer that is a real Eureka server, played by one of ours without what Eureka does not have."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest_asyncio
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.registry.instance import Status


@dataclass
class OnlyEureka:
    """Pure ASGI: knows none of the paths that only our servers have, and remembers the batches."""

    app: ASGIApp
    batches: list[list[dict[str, Any]]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(("/digests", "/states")):
            await Response(status_code=404)(scope, receive, send)
            return
        body = bytearray()

        async def listen() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        await self.app(scope, listen, send)
        if scope["type"] == "http" and scope["path"].endswith("/batch/"):
            self.batches.append(json.loads(body)["replicationList"])

    def actions(self) -> list[str]:
        return [item["action"] for batch in self.batches for item in batch]


@dataclass
class Pair:
    ours: RunningServer
    eureka: RunningServer
    heard: OnlyEureka


@asynccontextmanager
async def pair(*copied: str, interval_seconds: float = 0.5) -> AsyncIterator[Pair]:
    """One of ours and, as its peer, a Eureka server with some instances."""
    listener = free_socket()
    heard: list[OnlyEureka] = []

    def limited(app: ASGIApp) -> ASGIApp:
        heard.append(OnlyEureka(app))
        return heard[0]

    async with running_server(around=limited, listener=listener) as eureka:
        for key in copied:
            eureka.registry.register(an_instance(key=key))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/eureka"
        async with running_server(peers=url, peer_interval_seconds=interval_seconds) as ours:
            await until(lambda: has_met(ours))
            yield Pair(ours, eureka, heard[0])


async def has_met(server: RunningServer) -> bool:
    async with httpx.AsyncClient() as client:
        (view,) = (await client.get(f"{server.url}/discovery/peers")).json()["peers"]
    return view["kind"] == "eureka" and view["reachable"] and view["digests_agree"] is None


@pytest_asyncio.fixture
async def both() -> AsyncIterator[Pair]:
    async with pair() as both:
        yield both


def keys(server: RunningServer) -> set[str]:
    return {instance.key for instance in server.registry.application("ORDERS")}


async def test_everything_that_it_knows_is_copied_at_start_before_anybody_reads() -> None:
    async with pair("o1", "o2") as both, httpx.AsyncClient() as client:
        answer = await client.get(f"{both.ours.eureka}apps")

        assert answer.status_code == 200
        assert keys(both.ours) == {"o1", "o2"}


async def test_it_hears_of_registrations_overrides_renewals_and_departures(both: Pair) -> None:
    both.ours.registry.register(an_instance())
    await until(lambda: keys(both.eureka) == {"o1"})

    both.ours.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
    await until(lambda: both.eureka.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE)

    both.ours.registry.remove_override("ORDERS", "o1", Status.UP)
    await until(lambda: both.eureka.registry.instance("ORDERS", "o1").overridden_status is Status.UNKNOWN)
    assert both.eureka.registry.instance("ORDERS", "o1").status is Status.UP

    both.ours.registry.renew("ORDERS", "o1")
    await until(lambda: "Heartbeat" in both.heard.actions())

    both.ours.registry.cancel("ORDERS", "o1")
    await until(lambda: not keys(both.eureka))


async def test_a_renewal_of_what_it_does_not_know_registers_it_there(both: Pair) -> None:
    both.ours.registry.register(an_instance())
    await until(lambda: keys(both.eureka))
    both.eureka.registry.evict("ORDERS", "o1", "for the test")

    both.ours.registry.renew("ORDERS", "o1")

    await until(lambda: keys(both.eureka))


async def test_what_it_knows_in_a_newer_version_is_taken_from_its_answer(both: Pair) -> None:
    both.ours.registry.register(an_instance(last_dirty_ms=1000))
    await until(lambda: keys(both.eureka))
    both.eureka.registry.register(an_instance(last_dirty_ms=2000, metadata={"zone": "newer"}))

    both.ours.registry.renew("ORDERS", "o1")

    await until(lambda: both.ours.registry.instance("ORDERS", "o1").metadata == {"zone": "newer"})


async def test_what_it_told_is_not_told_back(both: Pair) -> None:
    async with httpx.AsyncClient() as client:
        theirs: dict[str, Any] = {"appName": "ORDERS", "id": "theirs", "action": "Register"}
        theirs |= {"instanceInfo": a_registration(key="theirs")["instance"]}
        answer = await client.post(f"{both.ours.eureka}peerreplication/batch/", json={"replicationList": [theirs]})
        assert answer.json() == {"responseList": [{"statusCode": 200}]}

    both.ours.registry.register(an_instance(key="ours"))

    await until(lambda: keys(both.eureka))
    assert keys(both.eureka) == {"ours"}


async def test_what_happened_while_it_was_away_it_hears_when_it_is_back() -> None:
    listener = free_socket()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/eureka"
    async with running_server(peers=url, peer_interval_seconds=0.5, warm_up_seconds=0) as ours:
        for number in range(300):
            ours.registry.register(an_instance(key=f"o{number}"))
        ours.registry.cancel("ORDERS", "o299")
        heard: list[OnlyEureka] = []

        def limited(app: ASGIApp) -> ASGIApp:
            heard.append(OnlyEureka(app))
            return heard[0]

        async with running_server(around=limited, listener=listener) as eureka:
            await until(lambda: len(keys(eureka)) == 299)

            assert max(map(len, heard[0].batches)) == 250

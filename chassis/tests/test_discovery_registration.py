"""This instance in the registry: told while it is ready, at whichever server works, and taken out before it stops."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support.demo import DemoSettings

from chassis.discovery import Registration
from chassis.discovery.servers import eureka_urls
from chassis.supervisor import Supervisor
from chassis.testing.discovery import FakeDiscovery, Json, fake_discovery
from chassis.testing.server import free_socket, running
from chassis.testing.waiting import until


class Service:
    """An instance whose readiness a test decides."""

    def __init__(self, registration: Registration, port: int) -> None:
        self.registration = registration
        self.port = port
        self.is_ready = True


@asynccontextmanager
async def service(*servers: FakeDiscovery, **settings: object) -> AsyncIterator[Service]:
    """One that registers, and renews every tenth of a second."""
    listener = free_socket()
    port = listener.getsockname()[1]
    urls = ",".join(server.url for server in servers)
    known = DemoSettings(**{"discovery_url": urls, "port": port, "discovery_renewal_seconds": 0.1, **settings})
    found = Service(Registration(known), port)

    async def readiness(_: Request) -> Response:
        return Response(status_code=200 if found.is_ready else 503)

    supervisor = Supervisor()
    async with running(Starlette(routes=[Route("/actuator/health/readiness", readiness)]), listener):
        supervisor.start("registration", found.registration.run)
        yield found
        assert supervisor.failing() == []
        await supervisor.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[list[FakeDiscovery]]:
    """Served all the while, since stopping takes uvicorn a moment."""
    async with fake_discovery() as one, fake_discovery() as other:
        yield [one, other]


@pytest.fixture
def discovery(servers: list[FakeDiscovery]) -> FakeDiscovery:
    servers[0].reset()
    return servers[0]


@pytest.fixture
def other(servers: list[FakeDiscovery]) -> FakeDiscovery:
    servers[1].reset()
    return servers[1]


def registered(discovery: FakeDiscovery) -> Json | None:
    return next(iter(discovery.instances("demo-service")), None)


async def becomes(discovery: FakeDiscovery, status: str) -> None:
    await until(lambda: (registered(discovery) or {}).get("status") == status)


async def test_it_is_registered_while_it_is_ready(discovery: FakeDiscovery) -> None:
    async with service(discovery) as demo:
        demo.is_ready = False
        assert registered(discovery) is None  # before it is ready nobody needs to know of it

        demo.is_ready = True
        await becomes(discovery, "UP")
        assert REGISTRY.get_sample_value("discovery_registered") == 1
        await until(lambda: discovery.calls.count("PUT") >= 2)

        demo.is_ready = False
        await becomes(discovery, "DOWN")
        assert REGISTRY.get_sample_value("discovery_registered") == 0

        demo.is_ready = True
        await becomes(discovery, "UP")


async def test_it_tells_where_it_is_and_what(discovery: FakeDiscovery) -> None:
    async with service(discovery, instance_zone="east", instance_version="1.2-rc3") as demo:
        await becomes(discovery, "UP")
        entry = registered(discovery)

    assert entry is not None
    assert (entry["instanceId"], entry["ipAddr"], entry["port"]["$"]) == (
        f"127.0.0.1:demo-service:{demo.port}",
        "127.0.0.1",
        demo.port,
    )
    assert entry["healthCheckUrl"] == f"http://127.0.0.1:{demo.port}/actuator/health"
    assert entry["metadata"] == {"version": "1.2-rc3", "zone": "east"}


async def test_its_version_is_the_packages_where_nothing_else_is_said(
    discovery: FakeDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DemoSettings, "service_name", "flotilla-chassis")
    async with service(discovery):
        await until(lambda: discovery.instances("flotilla-chassis"))

    assert discovery.instances("flotilla-chassis")[0]["metadata"] == {"version": version("flotilla-chassis")}


async def test_a_server_that_was_started_anew_is_told_again(discovery: FakeDiscovery) -> None:
    async with service(discovery):
        await becomes(discovery, "UP")

        discovery.forget()

        await becomes(discovery, "UP")
    assert discovery.calls.count("POST UP") == 2


async def test_it_registers_when_discovery_comes_up_late(discovery: FakeDiscovery) -> None:
    discovery.is_away = True
    async with service(discovery):
        await until(lambda: REGISTRY.get_sample_value("discovery_registered") == 0)

        discovery.is_away = False

        await becomes(discovery, "UP")


async def test_before_it_stops_it_is_down_and_then_gone(discovery: FakeDiscovery) -> None:
    async with service(discovery) as demo:
        await becomes(discovery, "UP")
        registration = demo.registration
    began = time.monotonic()

    await registration.drain()
    assert (registered(discovery) or {})["status"] == "DOWN"
    # Who follows the registry sends nothing any more when it stops listening.
    assert time.monotonic() - began >= 0.2

    await registration.leave()
    assert registered(discovery) is None


async def test_who_never_was_registered_says_no_goodbye(discovery: FakeDiscovery) -> None:
    registration = Registration(DemoSettings(discovery_url=discovery.url))

    await registration.drain()
    await registration.leave()

    assert discovery.calls == []


class TestSeveralServers:
    async def test_one_is_told_and_when_it_fails_the_next(self, discovery: FakeDiscovery, other: FakeDiscovery) -> None:
        async with service(discovery, other):
            await becomes(discovery, "UP")
            assert other.calls == []

            discovery.is_away = True
            await becomes(other, "UP")
            # A renewal came first, to which it was not known there.
            assert other.calls[:2] == ["PUT", "POST UP"]
            assert REGISTRY.get_sample_value("discovery_registered") == 1

    async def test_it_stays_with_the_one_that_works(self, discovery: FakeDiscovery, other: FakeDiscovery) -> None:
        discovery.is_away = True
        async with service(discovery, other):
            await becomes(other, "UP")

            discovery.is_away = False
            renewals = other.calls.count("PUT")
            await until(lambda: other.calls.count("PUT") > renewals + 2)

            assert discovery.calls == []

    async def test_the_goodbye_goes_to_whoever_is_there(self, discovery: FakeDiscovery, other: FakeDiscovery) -> None:
        async with service(discovery, other) as demo:
            await becomes(discovery, "UP")
            registration = demo.registration
        discovery.is_away = True

        await registration.drain()
        await registration.leave()

        assert other.calls == ["POST DOWN", "DELETE"]

    async def test_while_none_answers_it_is_not_registered_and_goes_on_trying(
        self, discovery: FakeDiscovery, other: FakeDiscovery
    ) -> None:
        async with service(discovery, other):
            await becomes(discovery, "UP")

            discovery.is_away = other.is_away = True
            await until(lambda: REGISTRY.get_sample_value("discovery_registered") == 0)

            other.is_away = False
            await becomes(other, "UP")


@pytest.mark.parametrize(
    ("configured", "called"),
    [
        ("http://d:8761", ["http://demo-service:p%40w@d:8761/eureka/"]),
        ("http://d:8761/eureka", ["http://demo-service:p%40w@d:8761/eureka/"]),
        ("http://x:y@d:8761/v2/", ["http://x:y@d:8761/v2/"]),
        (
            "http://a:1, https://b/eureka ,c:3",
            [
                "http://demo-service:p%40w@a:1/eureka/",
                "https://demo-service:p%40w@b/eureka/",
                "http://demo-service:p%40w@c:3/eureka/",
            ],
        ),
        ("", []),
    ],
)
def test_an_address_is_completed(configured: str, called: list[str]) -> None:
    assert eureka_urls(DemoSettings(discovery_url=configured, service_password=SecretStr("p@w"))) == called

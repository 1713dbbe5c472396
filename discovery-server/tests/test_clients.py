"""Clients that we did not write, and the fleet's own, over real HTTP with credentials."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import pytest_asyncio
from chassis.discovery import Registration
from chassis.discovery import Registry as RegistryReader
from chassis.health import Health
from chassis.settings import ServiceSettings
from chassis.supervisor import Supervisor
from chassis.testing.server import free_socket, running
from chassis.testing.waiting import until
from chassis.web import add_service_defaults
from fastapi import FastAPI
from py_eureka_client import eureka_basic, http_client
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.registry.registry import Registry

PEER, PEER_PASSWORD = "discovery-server", "between.servers"
NAME_OF_FIRST = ("FIRST-SERVICE", "127.0.0.1:first-service:9001")
CREDENTIALS = {"first-service": "first.password", "second-service": "second.password", "orders": "its.password"}


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[RunningServer]:
    async with running_server(credentials=CREDENTIALS, sweep_seconds=0.2) as server:
        yield server


def url_for(name: str, server: RunningServer) -> str:
    """The base URL with the credential in it, as the stock client wants it."""
    return server.eureka.replace("http://", f"http://{name}:{CREDENTIALS[name]}@")


def statuses(registry: Registry) -> dict[str, list[str]]:
    return {app: [str(instance.status) for instance in found] for app, found in registry.applications().items()}


class StockClient:
    """A process with the stock client in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.sees: dict[str, Any] = {}
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            if line.startswith(b"{"):
                self.sees = json.loads(line)

    def tell(self, order: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{order}\n".encode())

    async def aclose(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading


def two_of_a_kind(listener: socket.socket, properties: dict[str, Any]) -> AbstractAsyncContextManager[RunningServer]:
    """One of two servers that know each other, with the services' credentials and one for each other."""
    return running_server(listener=listener, credentials={**CREDENTIALS, PEER: PEER_PASSWORD}, **properties)


@asynccontextmanager
async def stock_client(name: str, urls: str, port: int) -> AsyncIterator[StockClient]:
    """It renews every second, with a lease of three, and looks for others as often."""
    script = Path(__file__).parent / "support" / "stock_client.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        urls,
        name,
        str(port),
        "1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    client = StockClient(process)
    try:
        yield client
    finally:
        await client.aclose()


class TestStockPyEurekaClient:
    async def test_d1_d2_it_registers_renews_discovers_another_sees_it_vanish_and_leaves(
        self, guarded: RunningServer
    ) -> None:
        first_alone = {"FIRST-SERVICE": ["127.0.0.1:first-service:9001"]}
        both = {**first_alone, "SECOND-SERVICE": ["127.0.0.1:second-service:9002"]}
        async with stock_client("first-service", url_for("first-service", guarded), 9001) as first:
            await until(lambda: first.sees == first_alone, timeout_seconds=10)

            async with stock_client("second-service", url_for("second-service", guarded), 9002) as second:
                await until(lambda: first.sees == both and second.sees == both, timeout_seconds=10)
                second.process.kill()
                killed_at = time.monotonic()
                await until(lambda: "SECOND-SERVICE" not in guarded.registry.applications(), timeout_seconds=10)
                assert time.monotonic() - killed_at < 3 + 1
                await until(lambda: first.sees == first_alone, timeout_seconds=10)

            # It has outlived its first lease by now, so its renewals are taken; its metadata came through as well.
            registered = guarded.registry.instance("FIRST-SERVICE", "127.0.0.1:first-service:9001")
            assert registered.metadata == {"management.port": "9001", "zone": "z1", "team_color": "red & blue"}
            assert registered.lease.renewed_ms > registered.lease.registered_ms

            first.tell("stop")
            assert await asyncio.wait_for(first.process.wait(), 10) == 0
            assert guarded.registry.applications() == {}

    async def test_d4_it_is_drained_and_put_back(self, guarded: RunningServer) -> None:
        async with stock_client("first-service", url_for("first-service", guarded), 9001) as first:
            await until(lambda: statuses(guarded.registry) == {"FIRST-SERVICE": ["UP"]}, timeout_seconds=10)

            first.tell("drain")
            await until(lambda: statuses(guarded.registry) == {"FIRST-SERVICE": ["OUT_OF_SERVICE"]})
            await until(lambda: first.sees == {})
            # Its next renewal is answered 404, upon which it registers anew.
            first.tell("undrain")
            await until(lambda: statuses(guarded.registry) == {"FIRST-SERVICE": ["UP"]}, timeout_seconds=10)

    async def test_it_registers_with_a_server_that_was_started_anew(self) -> None:
        listener = free_socket()
        address = listener.getsockname()
        async with AsyncExitStack() as stack:
            async with running_server(credentials=CREDENTIALS, listener=listener) as before:
                await stack.enter_async_context(stock_client("first-service", url_for("first-service", before), 9001))
                await until(lambda: statuses(before.registry) == {"FIRST-SERVICE": ["UP"]}, timeout_seconds=10)

            again = socket.create_server(address)
            async with running_server(credentials=CREDENTIALS, listener=again) as after:
                assert after.registry.applications() == {}
                await until(lambda: statuses(after.registry) == {"FIRST-SERVICE": ["UP"]}, timeout_seconds=10)

    async def test_it_goes_to_the_second_server_when_the_first_one_dies(self) -> None:
        listeners = [free_socket(), free_socket()]
        ports = [listener.getsockname()[1] for listener in listeners]
        peers = ",".join(f"http://{PEER}:{PEER_PASSWORD}@127.0.0.1:{port}/eureka" for port in ports)
        both = {"peers": peers, "peer_interval_seconds": 0.2, "warm_up_seconds": 0.5, "sweep_seconds": 0.1}
        async with AsyncExitStack() as stack:
            second = await stack.enter_async_context(two_of_a_kind(listeners[1], both))
            async with two_of_a_kind(listeners[0], both) as first:
                urls = f"{url_for('first-service', first)},{url_for('first-service', second)}"
                client = await stack.enter_async_context(stock_client("first-service", urls, 9001))
                alone = {"FIRST-SERVICE": ["127.0.0.1:first-service:9001"]}
                await until(lambda: client.sees == alone, timeout_seconds=10)
                await until(lambda: statuses(second.registry) == {"FIRST-SERVICE": ["UP"]}, timeout_seconds=10)

            # What comes while the first is gone is seen, more than a lease later it is still there, and it can leave.
            second.registry.register(an_instance("SECOND-SERVICE", "s1", duration=900))
            await until(lambda: client.sees == {**alone, "SECOND-SERVICE": ["s1"]}, timeout_seconds=15)
            renewed = second.registry.instance(*NAME_OF_FIRST).lease.renewed_ms
            await until(
                lambda: second.registry.instance(*NAME_OF_FIRST).lease.renewed_ms > renewed + 3_000, timeout_seconds=15
            )
            client.tell("stop")
            assert await asyncio.wait_for(client.process.wait(), 10) == 0
            assert list(second.registry.applications()) == ["SECOND-SERVICE"]


class TestJavasHttpClient:
    async def test_a_registration_that_comes_with_an_offer_of_http_2_keeps_its_body(self) -> None:
        body = json.dumps(a_registration()).encode()
        head = (
            "POST /eureka/apps/ORDERS HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: h\r\n"
            f"Content-Length: {len(body)}\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n"
            "Expect: 100-continue\r\nContent-Type: application/json\r\n\r\n"
        )
        async with running_server() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            for _ in range(2):
                writer.write(head.encode())
                # Java sends the body in a segment of its own: here, once the head was read.
                assert b" 100 " in await asyncio.wait_for(reader.readline(), 5)
                await reader.readline()
                writer.write(body)
                assert b" 204 " in await asyncio.wait_for(reader.readline(), 5)
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()

            assert statuses(server.registry) == {"ORDERS": ["UP"]}


class TestEurekaBasic:
    """The functions that the chassis is built on."""

    async def test_a_whole_life_read_as_xml(self, guarded: RunningServer) -> None:
        http_client.set_http_client(http_client.HttpClient())
        server = url_for("orders", guarded)
        instance = eureka_basic.Instance(
            instanceId="127.0.0.1:orders:8080",
            hostName="127.0.0.1",
            ipAddr="127.0.0.1",
            app="ORDERS",
            port=eureka_basic.PortWrapper(8080, True),
            vipAddress="orders",
            secureVipAddress="orders-tls",
            status="UP",
            lastDirtyTimestamp=1000,
            metadata={"zone": "z1"},
        )
        name = ("ORDERS", instance.instanceId)

        await eureka_basic.register(server, instance)
        await eureka_basic.send_heartbeat(server, *name, 1000, status="UP")
        everything = await eureka_basic.get_applications(server)
        delta = await eureka_basic.get_delta(server)
        (read,) = everything.get_application("ORDERS").instances

        assert (everything.versions__delta, everything.apps__hashcode) == ("1", "UP_1_")
        assert (delta.apps__hashcode, delta.get_application("ORDERS").instances[0].actionType) == ("UP_1_", "ADDED")
        assert (read.instanceId, read.port.port, read.port.enabled) == (instance.instanceId, 8080, True)
        assert (read.zone, read.leaseInfo.durationInSecs) == ("z1", 90)
        assert len((await eureka_basic.get_application(server, "orders")).instances) == 1
        assert (await eureka_basic.get_app_instance(server, *name)).status == "UP"
        for found in (
            await eureka_basic.get_vip(server, "orders"),
            await eureka_basic.get_secure_vip(server, "orders-tls"),
        ):
            assert len(found.get_application("ORDERS").instances) == 1

        await eureka_basic.status_update(server, *name, 1000, status="OUT_OF_SERVICE")
        assert (await eureka_basic.get_applications(server)).apps__hashcode == "OUT_OF_SERVICE_1_"
        await eureka_basic.delete_status_override(server, *name, "1000")
        with pytest.raises(http_client.HTTPError, match="404"):
            await eureka_basic.send_heartbeat(server, *name, 1000, status="UP")
        await eureka_basic.register(server, instance)
        await eureka_basic.cancel(server, *name)
        assert (await eureka_basic.get_applications(server)).applications == []

    async def test_a_wrong_password_or_another_ones_name_is_refused(self, guarded: RunningServer) -> None:
        http_client.set_http_client(http_client.HttpClient())
        instance = eureka_basic.Instance(instanceId="i", hostName="h", ipAddr="127.0.0.1", app="ORDERS", status="UP")

        with pytest.raises(http_client.HTTPError, match="403"):
            await eureka_basic.register(url_for("first-service", guarded), instance)
        with pytest.raises(http_client.HTTPError, match="401"):
            await eureka_basic.get_applications(guarded.eureka)


class OrdersSettings(ServiceSettings):
    service_name: ClassVar[str] = "orders"


@asynccontextmanager
async def fleet_service(server: RunningServer) -> AsyncIterator[tuple[OrdersSettings, dict[str, str]]]:
    """A service of the fleet that listens; what is put into the second part makes it unready."""
    listener = free_socket()
    settings = OrdersSettings.of(
        {
            "discovery-url": server.eureka,
            "service-password": CREDENTIALS["orders"],
            "discovery-renewal-seconds": 0.1,
            "discovery-poll-seconds": 0.05,
            "port": listener.getsockname()[1],
        }
    )
    troubles: dict[str, str] = {}
    health = Health()

    async def is_fine() -> str | None:
        return troubles.get("trouble")

    health.ready_while("tested", is_fine)
    app = FastAPI()
    add_service_defaults(app, settings, health=health)
    async with running(app, listener):
        yield settings, troubles


class TestChassis:
    async def test_a_service_registers_is_found_and_leaves(self, guarded: RunningServer) -> None:
        async with fleet_service(guarded) as (settings, troubles):
            supervisor, registration, reader = Supervisor(), Registration(settings), RegistryReader(settings)
            supervisor.start("registration", registration.run)
            supervisor.start("reader", reader.run)

            await until(lambda: len(reader.instances("orders")) == 1)
            (found,) = reader.instances("ORDERS")
            assert (found.service, found.host, found.port) == ("orders", "127.0.0.1", settings.port)
            assert reader.services() == ("orders",)

            troubles["trouble"] = "the database is away"
            await until(lambda: reader.instances("orders") == ())
            assert statuses(guarded.registry) == {"ORDERS": ["DOWN"]}
            troubles.clear()
            await until(lambda: len(reader.instances("orders")) == 1)

            await supervisor.stop("registration")
            await registration.drain()
            assert statuses(guarded.registry) == {"ORDERS": ["DOWN"]}
            await registration.leave()
            assert guarded.registry.applications() == {}
            await supervisor.stop()

    async def test_d4_its_renewals_do_not_undo_an_override(self, guarded: RunningServer) -> None:
        async with fleet_service(guarded) as (settings, troubles):
            supervisor = Supervisor()
            supervisor.start("registration", Registration(settings).run)
            await until(lambda: statuses(guarded.registry) == {"ORDERS": ["UP"]})
            key = f"127.0.0.1:orders:{settings.port}"
            async with httpx.AsyncClient() as client:
                await client.put(f"{url_for('orders', guarded)}apps/ORDERS/{key}/status?value=OUT_OF_SERVICE")

            troubles["trouble"] = "for a moment"
            await until(lambda: statuses(guarded.registry) == {"ORDERS": ["DOWN"]})
            troubles.clear()

            await until(lambda: statuses(guarded.registry) == {"ORDERS": ["OUT_OF_SERVICE"]})
            await supervisor.stop()

    async def test_it_registers_again_at_once_when_the_registry_has_forgotten_it(self, guarded: RunningServer) -> None:
        async with fleet_service(guarded) as (settings, _):
            supervisor = Supervisor()
            supervisor.start("registration", Registration(settings).run)
            await until(lambda: statuses(guarded.registry) == {"ORDERS": ["UP"]})

            guarded.registry.cancel("ORDERS", f"127.0.0.1:orders:{settings.port}")

            await until(lambda: statuses(guarded.registry) == {"ORDERS": ["UP"]}, timeout_seconds=1)
            await supervisor.stop()

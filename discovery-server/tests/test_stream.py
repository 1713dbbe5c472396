"""The stream as its readers hear it: all at first, then each change, resumed where that is known, never held up."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from chassis.discovery.event_stream import EventParser, StreamEvent
from chassis.testing.server import running
from chassis.testing.waiting import until
from prometheus_client import REGISTRY
from pydantic import SecretStr
from support.clock import FakeClock
from support.instances import an_instance
from support.server import RunningServer, running_server

from discovery_server.app import create_app
from discovery_server.registry.instance import Status
from discovery_server.rest.server import SERVER_OPTIONS
from discovery_server.settings import DiscoverySettings


class Reader:
    """Somebody who follows a stream."""

    def __init__(self, answer: httpx.Response, last_id: str) -> None:
        self.answer = answer
        self.parser = EventParser(last_id)
        self._events = self._read()

    async def _read(self) -> AsyncIterator[StreamEvent]:
        async for chunk in self.answer.aiter_bytes():
            for event in self.parser.feed(chunk):
                yield event

    async def next(self) -> StreamEvent:
        async with asyncio.timeout(5):
            return await anext(self._events)

    async def change(self) -> tuple[str, str, str]:
        """The next change: what, of which instance, and its status."""
        event = await self.next()
        assert event.type == "change"
        told = json.loads(event.data)
        return told["action"], told["instance"]["instanceId"], told["instance"]["status"]

    async def ends(self) -> bool:
        """Whether the server says properly that there will be no more."""
        async with asyncio.timeout(5):
            return await anext(self._events, None) is None


@asynccontextmanager
async def reading(
    server: RunningServer, last_id: str = "", *, receives_bytes: int = 0, **query: str
) -> AsyncIterator[Reader]:
    """`receives_bytes`: how much the kernel takes for a reader that is not reading; 0: as usual."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receives_bytes)] if receives_bytes else None
    transport = httpx.AsyncHTTPTransport(socket_options=options)
    async with (
        httpx.AsyncClient(timeout=10, transport=transport) as client,
        client.stream("GET", f"{server.eureka}stream", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield Reader(answer, last_id)


def keys_in(event: StreamEvent) -> set[str]:
    """The ids in a `registry` event."""
    assert event.type == "registry"
    applications = json.loads(event.data)["applications"]["application"]
    return {entry["instanceId"] for application in applications for entry in application["instance"]}


def readers() -> float | None:
    return REGISTRY.get_sample_value("discovery_stream_readers")


class TestWhatIsTold:
    async def test_first_comes_everything_as_in_a_list_of_all(self, server: RunningServer) -> None:
        server.registry.register(an_instance("ORDERS", "o1"))
        server.registry.register(an_instance("STOCK", "s1", status=Status.DOWN))

        async with reading(server) as reader, httpx.AsyncClient() as client:
            event = await reader.next()
            listed = await client.get(f"{server.eureka}apps", headers={"Accept": "application/json"})

        assert event.type == "registry"
        assert json.loads(event.data) == listed.json()

    async def test_then_each_change_in_full_with_its_reason(self, server: RunningServer) -> None:
        async with reading(server) as reader, httpx.AsyncClient() as client:
            assert keys_in(await reader.next()) == set()

            server.registry.register(an_instance("ORDERS", "o1", metadata={"zone": "östlich\n"}))
            event = await reader.next()
            shown = await client.get(f"{server.eureka}apps/ORDERS/o1", headers={"Accept": "application/json"})
            server.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
            overridden = await reader.change()
            server.registry.cancel("ORDERS", "o1")
            left = await reader.next()

        assert event.type == "change"
        assert json.loads(event.data) == {
            "version": server.registry.version - 2,
            "action": "ADDED",
            "why": "registered",
            "instance": shown.json()["instance"],
        }
        assert overridden == ("MODIFIED", "o1", "OUT_OF_SERVICE")
        assert json.loads(left.data)["action"] == "DELETED"
        assert json.loads(left.data)["why"] == "left"

    async def test_renewals_are_no_news(self, server: RunningServer) -> None:
        server.registry.register(an_instance("ORDERS", "o1"))
        async with reading(server) as reader:
            await reader.next()

            server.registry.renew("ORDERS", "o1")
            server.registry.register(an_instance("ORDERS", "o2"))

            assert await reader.change() == ("ADDED", "o2", "UP")

    async def test_what_runs_out_is_told_like_what_leaves(self, server: RunningServer) -> None:
        clock = FakeClock()
        async with running_server(clock=clock.clock, sweep_seconds=0.05) as own, reading(own) as reader:
            await reader.next()
            own.registry.register(an_instance("ORDERS", "o1", duration=15))
            assert await reader.change() == ("ADDED", "o1", "UP")

            for _ in range(4):  # by less than what counts as a pause of the server itself
                clock.advance(4)
                own.registry.sweep()

            assert await reader.change() == ("DELETED", "o1", "UP")

    async def test_a_reader_of_some_applications_hears_of_those_alone(self, server: RunningServer) -> None:
        for app, key in (("ORDERS", "o1"), ("STOCK", "s1"), ("AUTH", "a1")):
            server.registry.register(an_instance(app, key))
        async with reading(server, apps="orders, Auth") as reader:
            assert keys_in(await reader.next()) == {"o1", "a1"}

            server.registry.register(an_instance("STOCK", "s2"))
            server.registry.register(an_instance("AUTH", "a2"))

            assert await reader.change() == ("ADDED", "a2", "UP")

    async def test_where_nothing_happens_it_is_said_where_to_go_on(self) -> None:
        async with running_server(stream_keep_alive_seconds=0.05) as server, reading(server, apps="orders") as reader:
            first = await reader.next()
            server.registry.register(an_instance("STOCK", "s1"))

            waiting = asyncio.create_task(reader.next())
            await until(lambda: reader.parser.last_id != first.last_id)
            server.registry.register(an_instance("ORDERS", "o1"))

            assert json.loads((await waiting).data)["instance"]["app"] == "ORDERS"


class TestGoingOn:
    async def test_who_comes_back_hears_what_it_missed_each_instance_once(self, server: RunningServer) -> None:
        async with reading(server) as reader:
            await reader.next()
            server.registry.register(an_instance("ORDERS", "o1"))
            await reader.next()
            last_id = reader.parser.last_id

        server.registry.register(an_instance("ORDERS", "o2"))
        server.registry.cancel("ORDERS", "o1")
        server.registry.override_status("ORDERS", "o2", Status.OUT_OF_SERVICE)
        server.registry.register(an_instance("ORDERS", "o3"))

        async with reading(server, last_id) as reader:
            missed = [await reader.change() for _ in range(3)]

        assert missed == [("DELETED", "o1", "UP"), ("MODIFIED", "o2", "OUT_OF_SERVICE"), ("ADDED", "o3", "UP")]

    async def test_who_was_away_for_longer_than_is_kept_is_told_everything(self) -> None:
        clock = FakeClock()
        async with running_server(clock=clock.clock, delta_retention_seconds=60) as server:
            async with reading(server) as reader:
                await reader.next()
                last_id = reader.parser.last_id
            server.registry.register(an_instance("ORDERS", "o1"))
            clock.advance(50)

            async with reading(server, last_id) as reader:
                assert await reader.change() == ("ADDED", "o1", "UP")
            clock.advance(20)
            async with reading(server, last_id) as reader:
                assert keys_in(await reader.next()) == {"o1"}

    @pytest.mark.parametrize("last_id", ["1", "nonsense", "-", "9" * 30, "{version}-00000000", "{later}-{start}"])
    async def test_an_id_that_is_not_ours_is_answered_with_everything(
        self, server: RunningServer, last_id: str
    ) -> None:
        server.registry.register(an_instance("ORDERS", "o1"))
        async with reading(server) as reader:
            version, _, start = (await reader.next()).last_id.partition("-")
        later = int(version) + 1000

        async with reading(server, last_id.format(version=version, start=start, later=later)) as reader:
            assert keys_in(await reader.next()) == {"o1"}

    async def test_another_server_does_not_take_it_for_its_own(self, server: RunningServer) -> None:
        async with reading(server) as reader:
            await reader.next()
            last_id = reader.parser.last_id

        async with running_server() as other, reading(other, last_id) as reader:
            assert keys_in(await reader.next()) == set()


class TestManyReaders:
    async def test_all_of_them_hear_of_a_change(self, server: RunningServer) -> None:
        async with asyncio.TaskGroup() as group:
            opened = asyncio.Semaphore(0)

            async def follow() -> tuple[str, str, str]:
                async with reading(server) as reader:
                    await reader.next()
                    opened.release()
                    return await reader.change()

            following = [group.create_task(follow()) for _ in range(50)]
            for _ in following:
                await opened.acquire()
            assert readers() == 50
            server.registry.register(an_instance("ORDERS", "o1"))

        assert {task.result() for task in following} == {("ADDED", "o1", "UP")}
        await until(lambda: readers() == 0)

    async def test_beyond_the_most_they_are_asked_to_come_later(self) -> None:
        async with running_server(stream_readers=1) as server, httpx.AsyncClient(base_url=server.eureka) as client:
            async with reading(server) as reader:
                await reader.next()
                refused = await client.get("stream")

            assert (refused.status_code, refused.content, refused.headers["retry-after"]) == (503, b"", "5")
            await until(lambda: readers() == 0)
            async with reading(server) as reader:
                await reader.next()


class TestSlowReaders:
    async def test_one_that_takes_nothing_is_cut_off_and_nobody_else_waits(self) -> None:
        cuts = REGISTRY.get_sample_value("discovery_reader_cuts_total") or 0.0
        async with running_server(reader_patience_seconds=0.3) as server:
            with _mute_reader(server) as mute:
                await until(lambda: readers() == 1)
                async with reading(server) as reader:
                    await reader.next()
                    slowest = 0.0
                    for number in range(200):
                        began = time.monotonic()
                        bulk = {"text": "x" * 50_000}
                        server.registry.register(an_instance("ORDERS", f"o{number}", metadata=bulk))
                        assert await reader.change() == ("ADDED", f"o{number}", "UP")
                        slowest = max(slowest, time.monotonic() - began)

                    await until(lambda: readers() == 1)
                    assert REGISTRY.get_sample_value("discovery_reader_cuts_total") == cuts + 1
                    assert slowest < 1
                with pytest.raises(ConnectionResetError):
                    _read_all(mute)

    async def test_one_that_takes_its_time_gets_each_instance_as_it_is_by_then(self, server: RunningServer) -> None:
        rounds, instances = 60, 20
        async with reading(server, receives_bytes=65536) as reader:
            await reader.next()
            for round_ in range(rounds):
                for number in range(instances):
                    details = {"text": "x" * 20_000, "round": str(round_)}
                    server.registry.register(an_instance("ORDERS", f"o{number}", metadata=details))
                    await asyncio.sleep(0)

            told = 0
            latest = dict[str, str]()
            while list(latest.values()) != [str(rounds - 1)] * instances:
                entry = json.loads((await reader.next()).data)["instance"]
                latest[entry["instanceId"]] = entry["metadata"]["round"]
                told += 1

        assert told < rounds * instances / 2


class TestWhoMayRead:
    async def test_it_is_read_by_who_may_read_the_list(self) -> None:
        async with (
            running_server(credentials={"orders": "pw"}) as server,
            httpx.AsyncClient(base_url=server.eureka) as client,
        ):
            refused = await client.get("stream")
            assert (refused.status_code, refused.content) == (401, b"")

            async with client.stream("GET", "stream", auth=("orders", "pw")) as answer:
                assert answer.status_code == 200

    async def test_a_stream_ends_when_its_credential_does(self) -> None:
        settings = DiscoverySettings.of(
            {"discovery-server.credentials": {"orders": "old"}, "discovery-server.stream-keep-alive-seconds": 0.05}
        )
        async with (
            running(create_app(settings), **SERVER_OPTIONS) as url,
            httpx.AsyncClient(base_url=url, auth=("orders", "old")) as client,
            client.stream("GET", "/eureka/stream") as answer,
        ):
            reader = Reader(answer, "")
            await reader.next()

            settings.credentials = {"orders": [SecretStr("new")]}

            assert await reader.ends()
            assert (await client.get("/eureka/stream")).status_code == 401

    async def test_a_server_that_waits_for_its_peers_refuses_it_as_it_refuses_the_list_d6(self) -> None:
        async with (
            running_server(peers="http://127.0.0.1:1/eureka") as server,
            httpx.AsyncClient(base_url=server.eureka) as client,
        ):
            statuses = [(await client.get(path)).status_code for path in ("apps", "stream")]

        assert statuses == [503, 503]

    async def test_other_methods_and_paths_are_refused_and_a_head_does_not_wait(
        self, client: httpx.AsyncClient
    ) -> None:
        head = await client.head("stream")

        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
        assert (await client.get("v2/stream/below")).status_code == 404
        assert (await client.post("stream")).status_code == 405
        assert (await client.options("stream")).headers["allow"] == "GET, HEAD, OPTIONS"
        assert readers() == 0


class TestShutdown:
    async def test_streams_end_properly_and_at_once_when_the_server_stops(self) -> None:
        began = 0.0
        async with httpx.AsyncClient(timeout=10) as client:
            async with running_server() as server:
                answers = [
                    await client.send(client.build_request("GET", f"{server.eureka}stream"), stream=True)
                    for _ in range(3)
                ]
                followed = [Reader(answer, "") for answer in answers]
                for reader in followed:
                    await reader.next()
                ending = [asyncio.create_task(reader.ends()) for reader in followed]
                began = time.monotonic()
            assert time.monotonic() - began < 1.5  # of the 2 s that uvicorn would wait here
            assert [await end for end in ending] == [True] * 3
        assert readers() == 0

    async def test_one_that_takes_nothing_does_not_hold_it_up(self) -> None:
        async with running_server() as server:
            mute = _mute_reader(server)
            await until(lambda: readers() == 1)
            for number in range(200):
                bulk = {"text": "x" * 50_000}
                server.registry.register(an_instance("ORDERS", f"o{number}", metadata=bulk))
            await asyncio.sleep(0.1)
            began = time.monotonic()
        assert time.monotonic() - began < 1.9
        mute.close()


def _mute_reader(server: RunningServer) -> socket.socket:
    """Asks for the stream and reads nothing; the kernel takes little for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
    connection.sendall(b"GET /eureka/stream HTTP/1.1\r\nHost: h\r\n\r\n")
    return connection


def _read_all(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass

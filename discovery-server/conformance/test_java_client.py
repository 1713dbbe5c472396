"""Spring Cloud's Java client with our server: a life of it, over each of the client's two transports."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.registry.instance import Status

from .java_programs import JavaClient, java_client

CREDENTIALS = {"java-service": "its.password", "other": "another.password"}
APP, KEY = "JAVA-SERVICE", "127.0.0.1:java-service:9001"
SELF, OTHER = f"{APP}/{KEY}", "OTHER/o1"
PATIENCE_SECONDS = 40.0  # a program is started within it, on a machine with other things to do
JERSEY: dict[str, object] = {"eureka.client.jersey.enabled": "true"}
SPRINGS_OWN: dict[str, object] = {}


class Recorder:
    """Counts what is asked, by method and path, with the status of the answer."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str, int]] = Counter()
        self.gzipped = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        async def record(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_and_count(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.asked[scope["method"], scope["path"], message["status"]] += 1
                    self.gzipped += (b"content-encoding", b"gzip") in message["headers"]
                await send(message)

            await app(scope, receive, send_and_count if scope["type"] == "http" else send)

        return record

    def fetches(self) -> int:
        """Of everything."""
        return sum(count for (_, path, _), count in self.asked.items() if path in ("/eureka/apps/", "/eureka/apps"))

    def deltas(self) -> int:
        return self.asked["GET", "/eureka/apps/delta", 200]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest_asyncio.fixture
async def guarded(recorder: Recorder) -> AsyncIterator[RunningServer]:
    async with running_server(credentials=CREDENTIALS, sweep_seconds=0.2, around=recorder.around) as server:
        yield server


def url_for(server: RunningServer) -> str:
    return server.eureka.replace("http://", "http://java-service:its.password@")


def status_here(server: RunningServer) -> str | None:
    return next((str(instance.status) for instance in server.registry.application(APP)), None)


async def sees(client: JavaClient, expected: dict[str, str]) -> None:
    try:
        await until(lambda: client.sees == expected, timeout_seconds=PATIENCE_SECONDS)
    except TimeoutError:
        pytest.fail(f"it should see {expected} and sees {client.sees}; it said {client.said}")


@pytest.mark.parametrize("transport", [SPRINGS_OWN, JERSEY], ids=["rest-client", "jersey"])
async def test_a_whole_life(
    program: Path, tmp_path: Path, guarded: RunningServer, recorder: Recorder, transport: dict[str, object]
) -> None:
    async with java_client(program, tmp_path / "log", url_for(guarded), name="java-service", **transport) as client:
        await sees(client, {SELF: "UP"})
        registered = guarded.registry.instance(APP, KEY)
        assert (registered.port.number, registered.lease.duration_seconds, registered.metadata["zone"]) == (
            9001,
            3,
            "z1",
        )

        # Another application comes, goes out of service and leaves: by deltas alone, as the hash codes stay equal.
        before = recorder.fetches()
        guarded.registry.register(an_instance("OTHER", "o1", duration=900))
        await sees(client, {SELF: "UP", OTHER: "UP"})
        guarded.registry.override_status("OTHER", "o1", Status.OUT_OF_SERVICE)
        await sees(client, {SELF: "UP", OTHER: "OUT_OF_SERVICE"})
        guarded.registry.cancel("OTHER", "o1")
        await sees(client, {SELF: "UP"})
        assert recorder.fetches() == before
        assert recorder.deltas() >= 3
        assert recorder.gzipped >= 3 or transport is JERSEY  # which does not ask for it

        # Its own health and metadata.
        await client.tell("health DOWN")
        await until(lambda: status_here(guarded) == "DOWN", timeout_seconds=PATIENCE_SECONDS)
        await client.tell("health UP")
        await until(lambda: status_here(guarded) == "UP", timeout_seconds=PATIENCE_SECONDS)
        await client.tell("metadata color red-&-blue")
        await until(
            lambda: guarded.registry.instance(APP, KEY).metadata.get("color") == "red-&-blue",
            timeout_seconds=PATIENCE_SECONDS,
        )

        # An operator puts it out of service; neither its renewals nor its registrations undo that.
        async with httpx.AsyncClient(base_url=url_for(guarded)) as operator:
            path = f"apps/{APP}/{KEY}/status"
            assert (await operator.put(path, params={"value": "OUT_OF_SERVICE"})).status_code == 200
            await sees(client, {SELF: "OUT_OF_SERVICE"})
            await client.tell("metadata color green")
            await until(
                lambda: guarded.registry.instance(APP, KEY).metadata.get("color") == "green",
                timeout_seconds=PATIENCE_SECONDS,
            )
            assert status_here(guarded) == "OUT_OF_SERVICE"
            assert (await operator.delete(path, params={"value": "UP"})).status_code == 200
        await sees(client, {SELF: "UP"})

        # It has outlived its lease, so its renewals are taken.
        assert recorder.asked["PUT", f"/eureka/apps/{APP}/{KEY}", 200] >= 2
        await client.ask("stop", "stopped")
        assert guarded.registry.applications() == {}
        assert recorder.asked["DELETE", f"/eureka/apps/{APP}/{KEY}", 200] == 1
    refused = {asked for asked in recorder.asked if asked[2] >= 400 and asked[2] != 404}
    assert refused == set()


async def test_a_server_that_was_started_anew_is_registered_with_at_once(program: Path, tmp_path: Path) -> None:
    listener = free_socket()
    address = listener.getsockname()
    before, after = Recorder(), Recorder()
    async with running_server(credentials=CREDENTIALS, listener=listener, around=before.around) as server:
        starting = java_client(program, tmp_path / "log", url_for(server), name="java-service")
        client = await starting.__aenter__()
        try:
            await sees(client, {SELF: "UP"})
        except BaseException:
            await starting.__aexit__(None, None, None)
            raise
    try:
        again = socket.create_server(address)
        async with running_server(credentials=CREDENTIALS, listener=again, around=after.around) as server:
            await until(lambda: status_here(server) == "UP", timeout_seconds=PATIENCE_SECONDS)
            looks = client.looks
            await until(lambda: client.looks > looks and client.sees == {SELF: "UP"}, timeout_seconds=PATIENCE_SECONDS)

            assert after.asked["PUT", f"/eureka/apps/{APP}/{KEY}", 404] >= 1
            assert after.asked["POST", f"/eureka/apps/{APP}", 204] >= 1
    finally:
        await starting.__aexit__(None, None, None)


async def test_it_goes_to_the_second_server_when_the_first_one_dies(program: Path, tmp_path: Path) -> None:
    first_socket, second_socket = free_socket(), free_socket()
    urls = [f"http://127.0.0.1:{listener.getsockname()[1]}/eureka/" for listener in (first_socket, second_socket)]
    both: dict[str, Any] = {
        "anonymous": True,
        "peers": ",".join(urls),
        "peer_interval_seconds": 0.2,
        "warm_up_seconds": 1,
    }
    async with running_server(listener=second_socket, **both) as second:
        first_running = running_server(listener=first_socket, **both)
        await first_running.__aenter__()
        first_stops = asyncio.Event()

        async def stop_first() -> None:
            if not first_stops.is_set():
                first_stops.set()
                await first_running.__aexit__(None, None, None)

        try:
            async with java_client(program, tmp_path / "log", *urls, name="java-service") as client:
                await sees(client, {SELF: "UP"})
                await until(lambda: status_here(second) == "UP", timeout_seconds=PATIENCE_SECONDS)

                await stop_first()
                second.registry.register(an_instance("OTHER", "o1", duration=900))

                # More than its lease later it is there as before: it renews at the second one.
                await sees(client, {SELF: "UP", OTHER: "UP"})
                await asyncio.sleep(4)
                assert status_here(second) == "UP"
        finally:
            await stop_first()


async def test_netflix_own_codecs_read_every_form_and_write_xml_that_is_taken(program: Path, tmp_path: Path) -> None:
    async with running_server() as server, httpx.AsyncClient(base_url=server.eureka) as http:
        metadata = {"a b": "<x>", "ü": "&", "1n": "", "a:b": "colon"}
        amazon = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": {"instance-id": "i-1"}}
        others: dict[str, dict[str, Any]] = {
            "o1": {"metadata": metadata},
            "o2": {"status": "STARTING", "dataCenterInfo": amazon},
            "o3": {"status": "DOWN", "metadata": None, "leaseInfo": None},
            "o4": {"status": "UNKNOWN", "vipAddress": None},
        }
        for key, fields in others.items():
            assert (await http.post("apps/OTHER", json=a_registration("OTHER", key, **fields))).status_code == 204
        async with java_client(program, tmp_path / "log", server.eureka, name="java-service") as client:
            here = {f"OTHER/{key}": fields.get("status", "UP") for key, fields in others.items()} | {SELF: "UP"}
            await sees(client, here)

            for path in ("apps", "apps/delta"):
                read = await client.ask(f"codecs {server.eureka}{path}", "codecs")
                assert len(read) == 8
                for form, seen in read.items():
                    assert seen["instances"] == here, form
                    assert seen["hash"] == "DOWN_1_STARTING_1_UNKNOWN_1_UP_2_", form

            server.registry.cancel(APP, KEY)
            assert await client.ask(f"register {server.eureka}apps/{APP}", "registered") == 204
            assert server.registry.instance(APP, KEY).metadata["zone"] == "z1"

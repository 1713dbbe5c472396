"""10,000 instances and readers that take what they asked for slowly, or not at all: over real sockets."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from chassis.testing.waiting import until
from support.instances import an_instance
from support.server import RunningServer, running_server

INSTANCES, APPLICATIONS = 10_000, 200
TEXT = "x" * 300


def fill(server: RunningServer) -> None:
    for number in range(INSTANCES):
        app = f"APP-{number % APPLICATIONS}"
        server.registry.register(an_instance(app, f"i{number}", duration=300, metadata={"text": TEXT}))


@asynccontextmanager
async def slow_readers(
    server: RunningServer, count: int
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """They have asked for everything and have got the first lines of it. The kernel takes little for them."""
    url = httpx.URL(server.url)
    readers = []
    for _ in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((url.host, url.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
        writer.write(b"GET /eureka/apps HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n")
        readers.append((reader, writer))
    try:
        for reader, _ in readers:
            await reader.readuntil(b"\r\n\r\n")
        yield readers
    finally:
        for _, writer in readers:
            writer.close()


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_they_stop_no_renewal_and_cost_no_copy_each() -> None:
    async with running_server() as server, httpx.AsyncClient(base_url=server.eureka) as client:
        fill(server)
        length = len((await client.get("apps", headers={"Accept": "application/json"})).content)
        before = memory_bytes()
        async with slow_readers(server, 30) as readers:
            for number in range(100):
                assert (await client.put(f"apps/APP-{number}/i{number}")).status_code == 200
                # What changes meanwhile is in the next answers, and not in theirs.
                await client.put(f"apps/APP-{number}/i{number}/status", params={"value": "DOWN"})
            assert memory_bytes() - before < 30 * length / 4

            reader, _ = readers[0]
            document = json.loads(await reader.readexactly(length))["applications"]
            assert document["apps__hashcode"] == f"UP_{INSTANCES}_"
            assert {found["status"] for app in document["application"] for found in app["instance"]} == {"UP"}
            now = (await client.get("apps", headers={"Accept": "application/json"})).json()["applications"]
            assert now["apps__hashcode"] == f"DOWN_100_UP_{INSTANCES - 100}_"


async def test_who_takes_nothing_for_long_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async with running_server(reader_patience_seconds=0.3) as server:
        fill(server)
        async with slow_readers(server, 1) as ((reader, _),):
            await until(lambda: "is cut off" in caplog.text)
            async with asyncio.timeout(5):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(INSTANCES * len(TEXT))

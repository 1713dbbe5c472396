"""A server that is killed, stopped or stands still, as a process of its own: nobody is forgotten by that."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from support.instances import a_registration


@pytest.fixture
def port() -> Iterator[int]:
    with free_socket() as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "application/json"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/eureka/", headers=headers) as client:
        yield client


@asynccontextmanager
async def server(port: int, state: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, killed at the end unless it has ended by then."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DISCOVERY_", "CONFIG_"))}
    settings = {"PORT": str(port), "STATE_DIR": str(state), "DISCOVERY_SERVER_ANONYMOUS": "true"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "discovery_server",
        env=inherited | settings | environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def first_list(client: httpx.AsyncClient) -> httpx.Response:
    """The answer to the first reader that gets any."""

    async def answer() -> httpx.Response | None:
        try:
            return await client.get("apps")
        except httpx.TransportError:
            return None

    found = await until(answer, timeout_seconds=20)
    assert isinstance(found, httpx.Response)
    return found


def ids(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200
    apps = answer.json()["applications"]["application"]
    return {instance["instanceId"] for app in apps for instance in app["instance"]}


async def test_d6_the_first_list_after_a_kill_or_a_stop_has_everybody(
    port: int, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    snapshot = tmp_path / f"registry-{port}.json"

    async with server(port, tmp_path) as process:
        assert ids(await first_list(client)) == set()
        for key in ("o1", "o2"):
            assert (await client.post("apps/ORDERS", json=a_registration(key=key))).status_code == 204
        await client.put("apps/ORDERS/o2/status?value=OUT_OF_SERVICE")
        await until(lambda: snapshot.exists() and "OUT_OF_SERVICE" in snapshot.read_text())
        process.kill()

    async with server(port, tmp_path) as process:
        assert ids(await first_list(client)) == {"o1", "o2"}
        statuses = [(await client.get(f"apps/ORDERS/{key}")).json()["instance"]["status"] for key in ("o1", "o2")]
        assert statuses == ["UP", "OUT_OF_SERVICE"]
        assert (await client.put("apps/ORDERS/o1?lastDirtyTimestamp=1000")).status_code == 200
        await client.post("apps/ORDERS", json=a_registration(key="o3"))
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 10)

    async with server(port, tmp_path) as process:
        assert ids(await first_list(client)) == {"o1", "o2", "o3"}


async def test_nobody_is_dropped_by_a_server_that_stood_still_for_longer_than_the_leases(
    port: int, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with server(port, tmp_path, DISCOVERY_SERVER_SWEEP_SECONDS="0.05") as process:
        await first_list(client)
        lease = {"renewalIntervalInSecs": 2, "durationInSecs": 4}
        for key in ("o1", "dead"):
            await client.post("apps/ORDERS", json=a_registration(key=key, leaseInfo=lease))
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(5.5)  # what the server takes for a standstill; the heartbeats of this time were given up
        process.send_signal(signal.SIGCONT)

        # The next heartbeat comes a moment later, after many sweeps.
        for _ in range(20):
            assert ids(await client.get("apps")) == {"o1", "dead"}
            await asyncio.sleep(0.05)
        assert (await client.put("apps/ORDERS/o1")).status_code == 200

        async def only_the_living_is_there() -> bool:
            return ids(await client.get("apps")) == {"o1"}

        await until(only_the_living_is_there, timeout_seconds=3.5)

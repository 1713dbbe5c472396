"""Prometheus' own discovery, as observability/ sets it up: whoever is registered here is scraped."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from chassis.testing.waiting import until
from support.instances import a_registration
from support.server import running_server

from .java_programs import free_port

CONFIGURATION = Path(__file__).parents[2] / "observability" / "prometheus" / "prometheus.yml"
CREDENTIALS = {"orders": "its.password", "guest": "another.password"}
READ_TOKEN = "the-token-of-prometheus"
PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def prometheus(server: str, folder: Path) -> AsyncIterator[str]:
    """One that has the fleet's job alone, with the server's address for its own. Its base URL."""
    program = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if program is None:
        pytest.fail("Prometheus is not installed (on Debian and Ubuntu: prometheus); PROMETHEUS can name one.")
    (job,) = [job for job in yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"] if job["job_name"] == "fleet"]
    (discovery,) = job["eureka_sd_configs"]
    password = folder / "password"
    password.write_text(READ_TOKEN)
    discovery["authorization"]["credentials_file"] = str(password)
    discovery |= {"server": server.rstrip("/"), "refresh_interval": "1s"}
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_prometheus_finds_the_fleet_and_sees_it_come_and_go(tmp_path: Path) -> None:
    async with (
        running_server(credentials=CREDENTIALS, read_tokens=[READ_TOKEN]) as server,
        prometheus(server.eureka, tmp_path) as url,
        httpx.AsyncClient() as client,
    ):

        async def found() -> set[tuple[str, str]]:
            """The job and the address of each target."""
            try:
                answer = await client.get(f"{url}/api/v1/targets", params={"state": "active"})
            except httpx.TransportError:
                return set()
            targets: list[dict[str, Any]] = answer.json()["data"]["activeTargets"] if answer.is_success else []
            return {(target["labels"]["job"], target["scrapeUrl"]) for target in targets}

        async def finds(*expected: tuple[str, str]) -> None:
            async def is_so() -> bool:
                return await found() == set(expected)

            try:
                await until(is_so, timeout_seconds=PATIENCE_SECONDS)
            except TimeoutError:
                pytest.fail(f"it should find {expected} and finds {await found()}")

        async def register(name: str, port: int, **fields: Any) -> None:
            body = a_registration(name.upper(), f"{name}:{port}", hostName="127.0.0.1", duration=90, **fields)
            body["instance"]["vipAddress"] = name
            body["instance"]["port"] = {"$": port, "@enabled": "true"}
            url = f"{server.eureka}apps/{name}".replace("http://", f"http://{name}:{CREDENTIALS[name]}@")
            assert (await client.post(url, json=body)).status_code == 204

        await register("orders", 9001)
        await register("orders", 9002)
        await register("guest", 9003, metadata={"prometheus.path": "/metrics", "a b": "<odd>"})
        orders = [("orders", f"http://127.0.0.1:{port}/actuator/prometheus") for port in (9001, 9002)]
        await finds(*orders, ("guest", "http://127.0.0.1:9003/metrics"))

        server.registry.cancel("GUEST", "guest:9003")
        await finds(*orders)

"""The gateway's own endpoints, new settings while it runs, ended sessions, and the process by itself."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from chassis.ids import uuid7
from chassis.settings import ServiceSettings
from chassis.testing.broker import BrokerProcess
from chassis.testing.events import neighbours
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until
from support.gateways import GatewayUnderTest, running_gateway
from support.upstreams import Echo, Exchange, echo, wire_upstream

from gateway.settings import Settings


class TestActuator:
    @pytest.mark.parametrize("path", ["health", "health/liveness", "health/readiness", "info", "prometheus"])
    async def test_probes_and_metrics_are_open(self, gateway: GatewayUnderTest, path: str) -> None:
        assert (await gateway.client.get(f"/actuator/{path}")).status_code == 200

    @pytest.mark.parametrize(("method", "path"), [("GET", "env"), ("GET", "loggers"), ("POST", "refresh")])
    async def test_what_shows_or_changes_the_inside_is_for_admins(
        self, tokens: TokenMaker, method: str, path: str
    ) -> None:
        async with running_gateway(tokens, []) as gateway:
            statuses = [
                (await gateway.client.request(method, f"/actuator/{path}", headers=headers)).status_code
                for headers in ({}, tokens.customer(), tokens.admin())
            ]

        assert statuses == [401, 403, 200]

    async def test_paths_beside_it_are_not_the_gateways(self, gateway: GatewayUnderTest) -> None:
        statuses = [
            (await gateway.client.get(path, headers=gateway.tokens.admin())).status_code
            for path in ("/actuators", "/docs2", "/openapi.json/x")
        ]

        assert statuses == [404, 404, 404]


def write_routes(folder: Path, routes: list[dict[str, Any]], **settings: Any) -> None:
    text = yaml.safe_dump({"gateway": {"routes": routes, "rate-per-second": 0, **settings}})
    new = folder / "gateway.yml.new"
    new.write_text(text)
    new.replace(folder / "gateway.yml")


def route(prefix: str, upstream: Echo) -> dict[str, Any]:
    return {"id": prefix.strip("/"), "prefix": prefix, "uri": upstream.url, "access": "public"}


class TestRefresh:
    async def test_a_new_table_takes_effect_whole_and_a_bad_one_not_at_all(
        self, tokens: TokenMaker, upstream: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        monkeypatch.setenv("JWKS_URL", tokens.jwks_url)
        async with running_gateway(tokens, [route("/old", upstream)]) as gateway:

            async def refresh() -> httpx.Response:
                return await gateway.client.post("/actuator/refresh", headers=tokens.admin())

            async def status(path: str) -> int:
                return (await gateway.client.get(path)).status_code

            write_routes(tmp_path, [route("/new", upstream)])
            good = await refresh()
            after_good = [await status("/old"), await status("/new")]

            write_routes(tmp_path, [route("/other", upstream), route("/other", upstream)])
            bad = await refresh()
            after_bad = [await status("/other"), await status("/new")]

        assert good.status_code == 200
        assert "GATEWAY_ROUTES" in good.json()["changed"]
        assert after_good == [404, 200]
        assert bad.status_code >= 400
        assert "two routes have the id 'other'" in bad.json()["detail"]
        assert after_bad == [404, 200]

    async def test_reloads_under_load_fail_no_request(  # G7
        self, tokens: TokenMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        monkeypatch.setenv("JWKS_URL", tokens.jwks_url)
        async with echo("one") as one, echo("two") as two:
            write_routes(tmp_path, [route("/a", one)])
            async with running_gateway(tokens, [route("/a", one)]) as gateway:
                seen: list[tuple[int, str]] = []
                stop = asyncio.Event()

                async def client() -> None:
                    while not stop.is_set():
                        answer = await gateway.client.get("/a")
                        seen.append((answer.status_code, answer.json()["by"]))

                clients = [asyncio.create_task(client()) for _ in range(3)]
                for number in range(30):
                    write_routes(tmp_path, [route("/a", (one, two)[number % 2]), route(f"/x{number}", one)])
                    answer = await gateway.client.post("/actuator/refresh", headers=tokens.admin())
                    assert answer.status_code == 200, answer.text
                stop.set()
                await asyncio.gather(*clients)

        assert {status for status, _ in seen} == {200}
        assert {name for _, name in seen} == {"one", "two"}


class TestRevocations:
    async def test_a_session_that_was_ended_elsewhere_is_dead_here_at_once(
        self, tokens: TokenMaker, upstream: Echo, broker: BrokerProcess
    ) -> None:
        routes = [{"id": "a", "prefix": "/a", "uri": upstream.url}]
        session_id = str(uuid7())
        headers = {"Authorization": f"Bearer {tokens.token(sid=session_id)}"}
        async with (
            running_gateway(tokens, routes, kafka_bootstrap=broker.bootstrap) as gateway,
            neighbours(gateway.settings, ["auth-events"]) as auth_service,
        ):
            before = await gateway.client.get("/a", headers=headers)
            await auth_service.say(
                "auth.session-revoked.v1", topic="auth-events", key=session_id, data={"session_id": session_id}
            )

            async def is_refused() -> bool:
                return (await gateway.client.get("/a", headers=headers)).status_code == 401

            await until(is_refused, timeout_seconds=10.0)

        assert before.status_code == 200

    async def test_readiness_does_not_wait_for_kafka(self, tokens: TokenMaker) -> None:
        async with running_gateway(tokens, [], kafka_bootstrap="127.0.0.1:1") as gateway:
            assert (await gateway.client.get("/actuator/health")).status_code == 200


class TestProcess:
    async def test_it_runs_by_itself_with_a_folder_of_config_files(self, tmp_path: Path) -> None:
        async with wire_upstream() as upstream:
            write_routes(tmp_path, [{"id": "a", "prefix": "/a", "uri": upstream.url, "access": "public"}])
            process, url = await started({"CONFIG_SOURCE": str(tmp_path), "PORT": "0"})
            try:
                async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                    answer = await client.get("/a")
                    spoofed = await client.get("/a", headers={"X-Forwarded-For": "6.6.6.6"})
            finally:
                process.send_signal(signal.SIGTERM)
                code = await process.wait()

        assert answer.status_code == spoofed.status_code == 200
        assert b"x-forwarded-for: 127.0.0.1\r\n" in upstream.requests[-1]
        assert code in (0, -signal.SIGTERM)  # uvicorn raises it again once it has drained

    async def test_its_spans_are_exported_where_a_receiver_is_named(self, tmp_path: Path) -> None:  # O4
        received = asyncio.Event()

        async def take(exchange: Exchange) -> None:
            if b"POST /v1/traces " in exchange.head:
                received.set()
            await exchange.answer()

        async with wire_upstream() as upstream, wire_upstream(take) as receiver:
            write_routes(tmp_path, [{"id": "a", "prefix": "/a", "uri": upstream.url, "access": "public"}])
            environment = {"OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
            process, url = await started({"CONFIG_SOURCE": str(tmp_path), "PORT": "0"} | environment)
            try:
                async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                    trace_id = "0af7651916cd43dd8448eb211c80319c"
                    await client.get("/a", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
                async with asyncio.timeout(10):
                    await received.wait()
            finally:
                process.terminate()
                await process.wait()

        passed_on = re.search(rb"\r\ntraceparent: 00-(\w{32})-(\w{16})-01\r\n", upstream.requests[0])
        assert passed_on is not None
        assert passed_on[1].decode() == trace_id
        assert passed_on[2] != b"b7ad6b7169203331"

    async def test_a_bad_route_table_is_one_sentence_and_no_traceback(self, tmp_path: Path) -> None:
        write_routes(tmp_path, [{"id": "a", "prefix": "/a", "uri": "ftp://x"}])

        process = await start({"CONFIG_SOURCE": str(tmp_path), "PORT": "0"})
        _, said = await process.communicate()

        assert process.returncode == 1
        assert b"neither lb://service-id nor http://host:port" in said
        assert b"Traceback" not in said


async def start(environment: dict[str, str]) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=kept | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def started(environment: dict[str, str]) -> tuple[asyncio.subprocess.Process, str]:
    """A gateway as a process of its own, and its address."""
    process = await start(environment)
    assert process.stdout is not None
    async with asyncio.timeout(15):
        while line := await process.stdout.readline():
            if b"listens on " in line:
                return process, line.partition(b"listens on ")[2].partition(b" ")[0].decode()
    raise AssertionError("it ended before it listened")


def test_every_setting_stands_in_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()

    own = [name for name in Settings.model_fields if name not in ServiceSettings.model_fields]

    assert [name for name in own if f"`{Settings.variable_of(name)}`" not in readme] == []

"""What every request below /eureka gets: an id, a trace, metrics, a limit, and errors without a body."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from chassis.telemetry import current_trace_id
from chassis.testing.waiting import until
from prometheus_client import REGISTRY
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from support.instances import a_registration
from support.server import RunningServer

from discovery_server.rest.front import EurekaFront
from discovery_server.settings import DiscoverySettings

LIMIT_BYTES = 1_048_576
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def requests(method: str, handler: str, status: str) -> float:
    labels = {"method": method, "handler": handler, "status": status}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


def observed(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class TestRequestIds:
    async def test_an_answer_has_the_id_that_the_request_brought(self, client: httpx.AsyncClient) -> None:
        for path in ("apps", "apps/NOBODY", "apps/ORDERS/o1/status/too-long"):
            answer = await client.get(path, headers={"X-Request-ID": "mine"})

            assert answer.headers.get_list("x-request-id") == ["mine"]

    async def test_or_one_of_its_own(self, client: httpx.AsyncClient) -> None:
        ids = {(await client.get("apps")).headers["x-request-id"] for _ in range(3)}

        assert len(ids) == 3
        assert all(len(request_id) == 36 for request_id in ids)


class TestMetrics:
    @pytest.mark.parametrize(
        ("method", "path", "handler", "status"),
        [
            ("GET", "apps", "/eureka/apps", "2xx"),
            ("GET", "v2/apps/delta/", "/eureka/apps/delta", "2xx"),
            ("PUT", "apps/ORDERS/o1", "/eureka/apps/{app}/{id}", "4xx"),
            ("PUT", "apps/ORDERS/o1/status", "/eureka/apps/{app}/{id}/status", "4xx"),
            ("PATCH", "apps/ORDERS/o1/metadata", "/eureka/apps/{app}/{id}/metadata", "4xx"),
            ("GET", "instances/o1", "/eureka/instances/{id}", "4xx"),
            ("GET", "vips/v", "/eureka/vips/{vip}", "2xx"),
            ("GET", "svips/v", "/eureka/svips/{vip}", "2xx"),
            ("GET", "some/where/else/" + "x" * 20, "none", "4xx"),
        ],
    )
    async def test_a_request_is_counted_by_its_template(
        self, client: httpx.AsyncClient, method: str, path: str, handler: str, status: str
    ) -> None:
        before = requests(method, handler, status)
        latencies = observed("http_request_duration_seconds_count", method=method, handler=handler)
        all_latencies = observed("http_request_duration_highr_seconds_count")
        await client.request(method, path)

        assert requests(method, handler, status) == before + 1
        assert observed("http_request_duration_seconds_count", method=method, handler=handler) == latencies + 1
        assert observed("http_request_duration_highr_seconds_count") == all_latencies + 1

    async def test_sizes_are_those_of_the_headers(self, client: httpx.AsyncClient) -> None:
        received = observed("http_request_size_bytes_sum", handler="/eureka/apps/{app}")
        sent = observed("http_response_size_bytes_sum", handler="/eureka/apps/{app}")
        body = json.dumps(a_registration()).encode()
        await client.post("apps/ORDERS", content=body, headers={"Content-Type": "application/json"})
        document = (await client.get("apps/ORDERS")).content

        assert observed("http_request_size_bytes_sum", handler="/eureka/apps/{app}") == received + len(body)
        assert observed("http_response_size_bytes_sum", handler="/eureka/apps/{app}") == sent + len(document)

    async def test_what_is_elsewhere_is_counted_as_in_every_service(self, server: RunningServer) -> None:
        before = requests("GET", "none", "4xx")
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{server.url}/eurekas")

        assert answer.json()["status"] == 404
        assert requests("GET", "none", "4xx") == before + 1


class TestBodyLimit:
    @pytest.mark.parametrize("says_its_length", [True, False])
    async def test_a_body_over_it_is_a_413_and_registers_nothing(
        self, client: httpx.AsyncClient, says_its_length: bool
    ) -> None:
        body = json.dumps(a_registration(metadata={"long": "x" * LIMIT_BYTES})).encode()

        async def in_chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 100_000):
                yield body[start : start + 100_000]

        answer = await client.post(
            "apps/ORDERS",
            content=body if says_its_length else in_chunks(),
            headers={"Content-Type": "application/json"},
        )

        assert (answer.status_code, answer.content) == (413, b"")
        assert (await client.get("apps/ORDERS")).status_code == 404

    async def test_a_client_that_goes_away_in_the_middle_registers_nothing_and_harms_nobody(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        before = requests("POST", "/eureka/apps/{app}", "4xx")
        body = json.dumps(a_registration()).encode()
        head = f"POST /eureka/apps/ORDERS HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        url = httpx.URL(server.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:-1])
        await writer.drain()
        writer.close()
        await until(lambda: requests("POST", "/eureka/apps/{app}", "4xx") == before + 1)

        assert server.registry.applications() == {}
        assert (await client.get("apps")).status_code == 200


class Api:
    """In the place of Eureka's: does what it is told, and notes the trace that it is in."""

    def __init__(self, *, fails_before: bool = False, fails_after: bool = False) -> None:
        self.trace_ids: list[str | None] = []
        self._fails_before = fails_before
        self._fails_after = fails_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.trace_ids.append(current_trace_id())
        if self._fails_before:
            raise LookupError("secret of the inside")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if self._fails_after:
            raise LookupError("secret of the inside")
        await send({"type": "http.response.body", "body": b"all"})


async def ask(api: Api, *, headers: dict[str, str] | None = None, **settings: object) -> list[Message]:
    """One request, and all that is sent for it."""

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=404)(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    settings_of_server = DiscoverySettings.of({"discovery-server.anonymous": True, **settings})
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/eureka/apps", "headers": raw}
    await EurekaFront(nothing, api, settings_of_server)(scope, receive, send)
    return sent


class TestTraces:
    async def test_a_request_in_a_trace_goes_on_with_it(self) -> None:
        api = Api()
        await ask(api, headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})

        assert api.trace_ids == [TRACE_ID]

    async def test_another_is_in_none(self) -> None:
        api = Api()
        await ask(api)

        assert api.trace_ids == [None]


class TestFailures:
    async def test_a_failure_of_ours_is_a_500_that_tells_nothing(self) -> None:
        start, body = await ask(Api(fails_before=True))

        assert start["status"] == 500
        assert dict(start["headers"])[b"content-length"] == b"0"
        assert body["body"] == b""

    async def test_in_the_middle_of_an_answer_the_server_has_to_end_the_connection(self) -> None:
        with pytest.raises(LookupError):
            await ask(Api(fails_after=True))

"""An answer at hand is sent as the routes would have sent it, to the byte, and counted and traced as they would."""

import base64
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send
from support.repositories import ConfigRepository

from config_server.app import create_app
from config_server.fast_answers import FastAnswers
from config_server.media_types import V2
from config_server.settings import Settings

_GOLDEN = Path(__file__).parent / "golden"
_RECORDED = json.loads((_GOLDEN / "cases.json").read_text())
_REPOSITORY = json.loads((_GOLDEN / "repository.json").read_text())

_PASSWORD = "pw-1"
_TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _basic(name: str, password: str = _PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class _Ways:
    """One server, asked as it is and with the routes alone."""

    def __init__(self, **fields: Any) -> None:
        properties = {f"config-server.{name.replace('_', '-')}": value for name, value in fields.items()}
        self.app = create_app(Settings.of(properties))
        self.app.middleware_stack = self.app.build_middleware_stack()

    async def ask_both(
        self, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> list[Message]:
        """Ask before and after the answer is at hand, if it ever is; both ways must lead to the same."""
        first = await self.tell(method, target, headers or {})
        fast = await self.tell(method, target, headers or {})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(FastAnswers, "_ready_response", lambda *_: None)
            slow = await self.tell(method, target, headers or {})
        assert first == fast == slow
        return fast

    async def tell(self, method: str, target: str, headers: Mapping[str, str]) -> list[Message]:
        """What is sent, without the time of an error; in the end which metrics were raised, and by how much."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            if (body := message.get("body", b"")).startswith(b'{"timestamp"'):
                message = {**message, "body": {**json.loads(body), "timestamp": None}}
            sent.append(message)

        before = self._counts()
        await self.app(_scope(method, target, {"x-request-id": "r-1", **headers}), _no_body, send)
        raised = {name: value - before.get(name, 0) for name, value in self._counts().items()}
        return [*sent, {"raised": {name: value for name, value in raised.items() if value}}]

    def _counts(self) -> dict[str, float]:
        # All but the times that requests took, which are never the same.
        return {
            f"{sample.name} {sorted(sample.labels.items())}": sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name.startswith(("http_", "config_server_"))
            and sample.name.endswith(("_total", "_count", "_bytes_sum"))
        }


def _scope(method: str, target: str, headers: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture(scope="module")
def golden_ways(tmp_path_factory: pytest.TempPathFactory) -> _Ways:
    repository = ConfigRepository(tmp_path_factory.mktemp("golden") / "config-repo.git")
    repository.replay(_REPOSITORY["steps"])
    return _Ways(
        git_uri=str(repository.path),
        git_search_paths=",".join(_RECORDED["search_paths"]),
        git_default_label=_RECORDED["default_label"],
        anonymous="true",
    )


def _guarded_ways(repository: ConfigRepository) -> _Ways:
    repository.commit({"application.yml": "a: 1\n", "app.yml": "b: 1\n", "other.yml": "c: 1\n"})
    repository.commit({"app.yml": "b: x\n"}, branch="x")
    return _Ways(git_uri=str(repository.path), credentials={"app": _PASSWORD, "other": "pw-2"})


@pytest.fixture(scope="module")
def steady_ways(tmp_path_factory: pytest.TempPathFactory) -> _Ways:
    """To a server over a repository that does not change."""
    return _guarded_ways(ConfigRepository(tmp_path_factory.mktemp("steady") / "config.git"))


@pytest.fixture
def ways(repository: ConfigRepository) -> _Ways:
    """To a server that nobody has asked for anything yet."""
    return _guarded_ways(repository)


@pytest.mark.parametrize("case", _RECORDED["cases"], ids=lambda case: case["name"])
async def test_a_golden_case_is_answered_alike_both_ways(case: dict[str, Any], golden_ways: _Ways) -> None:
    await golden_ways.ask_both(case["path"], method=case["method"], headers=case.get("headers"))


@pytest.mark.parametrize(
    "target",
    [
        "/app/dev",
        "/app/dev/x",
        "/app/dev/main",
        "/app/dev/none",
        "/app/dev,prod",
        "/app,application/dev",
        "/%61pp/dev",
        "/app/d%65v",
        "/app/dev/",
        "//app/dev",
        "/app//dev",
        "/app",
        "/",
        "/app/dev?",
        "/app/dev?resolvePlaceholders=false",
        "/app/dev/x?useDefaultLabel",
        "/app/dev.yml",
        "/app-dev.yml",
        "/app/dev/x/app.yml",
        "/app/-dev",
        "/app/dev,",
        "/app/dev/refs(_)heads(_)x",
        "/(_)app/dev",
        "/app/../app/dev",
        "/app/dev%00",
        "/other/dev",
        "/app/other",
        "/actuator/health/liveness",
        "/actuator/none",
        "/encrypt/status",
        "/key/app/dev",
        "/monitor/dev",
        "/health/dev",
        "/docs/dev",
        f"/{'a' * 1001}/dev",
        f"/app/{','.join(['dev'] * 21)}",
    ],
)
async def test_a_plain_and_an_odd_path_are_answered_alike_both_ways(target: str, steady_ways: _Ways) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
        await steady_ways.ask_both(target, method=method, headers={"Authorization": _basic("app")})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": _basic("app", "wrong")},
        {"Authorization": _basic("nobody")},
        {"Authorization": _basic("other", "pw-2")},
        {"Authorization": f"Bearer {_PASSWORD}"},
        {"Authorization": "Basic !!!"},
        {"Authorization": _basic("app"), "Accept": V2},
        {"Authorization": _basic("app"), "Accept": "text/html"},
        {"Authorization": _basic("app"), "Accept": "text/html;q=0.9, */*;q=0.1"},
        {"Authorization": _basic("app"), "If-None-Match": "*"},
        {"Authorization": _basic("app"), "If-None-Match": '"other", W/"another"'},
        {"Authorization": _basic("app"), "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"Authorization": _basic("app"), "Content-Length": "99999999999"},
        {"Authorization": _basic("app"), "X-Config-Token": "t", "X-Config-State": "s"},
    ],
)
async def test_headers_count_alike_both_ways(headers: dict[str, str], steady_ways: _Ways) -> None:
    await steady_ways.ask_both("/app/dev", headers={"Authorization": _basic("app")})  # puts the answer at hand

    await steady_ways.ask_both("/app/dev", headers=headers)


async def test_every_way_is_counted_under_the_route(steady_ways: _Ways) -> None:
    *_, metrics = await steady_ways.ask_both("/app/dev", headers={"Authorization": _basic("app")})

    labels = [("handler", "/{application}/{profile}"), ("method", "GET"), ("status", "2xx")]
    assert metrics["raised"][f"http_requests_total {labels}"] == 1


async def test_a_client_that_has_the_answer_is_told_so_alike_both_ways(steady_ways: _Ways) -> None:
    headers = {"Authorization": _basic("app")}
    start, *_ = await steady_ways.ask_both("/app/dev", headers=headers)
    tag = dict(start["headers"])[b"etag"].decode()

    start, body, *_ = await steady_ways.ask_both("/app/dev", headers={**headers, "If-None-Match": tag})

    assert (start["status"], body["body"]) == (304, b"")


async def test_a_new_commit_and_a_broken_one_and_none_at_all_are_answered_alike(
    ways: _Ways, repository: ConfigRepository
) -> None:
    headers = {"Authorization": _basic("app")}
    await ways.ask_both("/app/dev", headers=headers)

    commit = repository.commit({"app.yml": "b: 2\n"})
    _, body, *_ = await ways.ask_both("/app/dev", headers=headers)
    assert commit.encode() in body["body"]

    repository.commit({"app.yml": "b: [\n"})
    start, body, *_ = await ways.ask_both("/app/dev", headers=headers)
    assert (b"x-config-stale", b"true") in start["headers"]
    assert commit.encode() in body["body"]

    shutil.rmtree(repository.path)
    start, *_ = await ways.ask_both("/app/dev", headers=headers)
    assert (start["status"], dict(start["headers"])[b"x-config-stale"]) == (200, b"true")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("chassis.telemetry._tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


@pytest.mark.parametrize("target", ["/app/dev", "/app/dev/x"])
async def test_the_trace_goes_on_in_a_span_that_is_named_by_the_route(
    target: str, ways: _Ways, spans: InMemorySpanExporter
) -> None:
    headers = {"Authorization": _basic("app"), "traceparent": _TRACE_PARENT}

    await ways.ask_both(target, headers=headers)

    template = "/{application}/{profile}" + ("/{label}" if target.endswith("/x") else "")
    finished = spans.get_finished_spans()
    assert [span.name for span in finished] == [f"GET {template}"] * 3
    assert {f"{span.context.trace_id:032x}" for span in finished if span.context} == {_TRACE_PARENT.split("-")[1]}


class TestFastAnswers:
    @pytest.mark.parametrize("target", ["/app/dev", "/app/dev/main", "/app/dev/x", "/app/dev,prod"])
    async def test_what_is_at_hand_does_not_reach_the_routes(self, target: str, ways: _Ways) -> None:
        headers = {"Authorization": _basic("app")}
        assert await _reaches_the_routes(ways.app, target, headers)  # nobody has asked for it yet

        await ways.tell("GET", target, headers)

        assert not await _reaches_the_routes(ways.app, target, headers)

    @pytest.mark.parametrize("headers", [{}, {"Authorization": _basic("other", "pw-2")}])
    async def test_who_may_not_read_is_left_to_the_routes(self, headers: dict[str, str], ways: _Ways) -> None:
        await ways.tell("GET", "/app/dev", {"Authorization": _basic("app")})

        assert await _reaches_the_routes(ways.app, "/app/dev", headers)


async def _reaches_the_routes(app: FastAPI, target: str, headers: Mapping[str, str]) -> bool:
    reached: list[Callable[..., Awaitable[None]]] = []

    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(send)

    async def send(message: Message) -> None:
        assert message["type"].startswith("http.response.")

    await FastAnswers(routes)({**_scope("GET", target, headers), "app": app}, _no_body, send)
    return bool(reached)

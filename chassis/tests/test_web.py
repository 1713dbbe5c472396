"""What every service does alike over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.exceptions import HTTPException
from support.demo import DemoSettings, NotToday

from chassis.health import Health
from chassis.security import KeySet, Security
from chassis.testing.server import running
from chassis.testing.tokens import TokenMaker, published_keys
from chassis.web import Body, add_service_defaults


def counted(handler: str, *, status: str = "2xx") -> float:
    labels = {"method": "GET", "handler": handler, "status": status}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


class Greeting(Body):
    name: str
    times: int = 1
    seats: int | None = None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tokens() -> AsyncIterator[TokenMaker]:
    async with published_keys() as maker:
        yield maker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def health() -> Health:
    return Health()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tokens: TokenMaker, health: Health) -> AsyncIterator[httpx.AsyncClient]:
    settings = DemoSettings(max_body_bytes=1000)
    app = FastAPI()

    async def fetch() -> dict[str, object]:
        return tokens.jwks()

    security = Security(KeySet(fetch), issuer=settings.token_issuer, audience=settings.token_audience)
    add_service_defaults(app, settings, health=health, security=security)

    @app.post("/greetings")
    async def greet(body: Greeting) -> Greeting:
        return body

    @app.get("/fails")
    async def fail() -> None:
        raise RuntimeError("the password is hunter2")

    @app.get("/refuses")
    async def refuse() -> None:
        raise NotToday("Come back tomorrow.", headers={"Retry-After": "86400"}, opens_at="tomorrow")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_a_problem_has_its_type_its_sentence_and_its_extensions(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refuses")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "86400"
    assert answer.json() == {
        "type": "https://flotilla.example/problems/not-today",
        "title": "Not today",
        "status": 409,
        "detail": "Come back tomorrow.",
        "instance": "/refuses",
        "opens_at": "tomorrow",
    }


async def test_an_unexpected_failure_tells_nothing_of_the_inside(client: httpx.AsyncClient) -> None:
    answer = await client.get("/fails")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text


async def test_other_http_errors_are_problems_too(client: httpx.AsyncClient) -> None:
    for path, status in (("/teapot", 418), ("/nowhere", 404)):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (status, "about:blank")
    answer = await client.delete("/greetings")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_each_mistake_in_a_body_is_pointed_at(client: httpx.AsyncClient) -> None:
    answer = await client.post("/greetings", json={"nmae": "Ada"})

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/name", "/nmae"}


@pytest.mark.parametrize("value", ['"5"', "true", "1.0", '" 3 "', '"1_0"', "1e2", "[1]"])
@pytest.mark.parametrize("field", ["times", "seats"])
async def test_a_number_is_a_whole_number_and_nothing_like_it(
    client: httpx.AsyncClient, field: str, value: str
) -> None:
    content = f'{{"name": "Ada", "{field}": {value}}}'
    answer = await client.post("/greetings", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"


@pytest.mark.parametrize("name", ["A\\u0000da", "A\\ud800da"])
async def test_a_text_that_cannot_be_kept_is_refused(client: httpx.AsyncClient, name: str) -> None:
    content = f'{{"name": "{name}"}}'
    answer = await client.post("/greetings", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_a_body_that_is_no_json_is_a_400(client: httpx.AsyncClient) -> None:
    answer = await client.post("/greetings", content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 400


async def test_a_body_over_the_limit_is_refused_announced_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    announced = await client.post("/greetings", content=b"x" * 2000)
    in_chunks = await client.post("/greetings", content=chunks())

    assert announced.status_code == in_chunks.status_code == 413
    assert announced.json()["type"] == in_chunks.json()["type"]
    assert announced.headers["content-type"] == in_chunks.headers["content-type"] == "application/problem+json"


async def test_a_request_keeps_its_id(client: httpx.AsyncClient) -> None:
    given = await client.get("/teapot", headers={"X-Request-Id": "abc"})
    made = await client.get("/teapot")

    assert given.headers["x-request-id"] == "abc"
    assert len(made.headers["x-request-id"]) == 36


async def test_the_openapi_document_shows_problems_as_they_are(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    responses = document["paths"]["/greetings"]["post"]["responses"]
    for status in ("422", "default"):
        assert [*responses[status]["content"]] == ["application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "Problem" in document["components"]["schemas"]


class TestActuator:
    async def test_a_failing_check_makes_readiness_say_so_and_liveness_not(
        self, client: httpx.AsyncClient, health: Health
    ) -> None:
        wrong: list[str] = []

        async def check() -> str | None:
            return wrong[0] if wrong else None

        health.ready_while("pantry", check)
        assert (await client.get("/actuator/health/readiness")).json()["status"] == "UP"
        wrong.append("no flour")

        readiness = await client.get("/actuator/health/readiness")

        assert readiness.status_code == 503
        assert readiness.json()["components"]["pantry"]["details"]["error"] == "no flour"
        assert (await client.get("/actuator/health/liveness")).status_code == 200
        assert (await client.get("/actuator/health")).status_code == 503

    async def test_what_a_part_says_of_itself_stands_beside_its_status(
        self, client: httpx.AsyncClient, health: Health
    ) -> None:
        said: list[str | None] = [None, "empty"]

        async def check() -> str | None:
            return said.pop(0)

        health.ready_while("pantry", check)
        health.describe("pantry", lambda: {"shelves": 3})

        well = (await client.get("/actuator/health")).json()["components"]["pantry"]
        ill = (await client.get("/actuator/health")).json()["components"]["pantry"]

        assert well == {"status": "UP", "details": {"shelves": 3}}
        assert ill == {"status": "DOWN", "details": {"shelves": 3, "error": "empty"}}

    async def test_requests_are_counted_by_template_however_many_apps_there_are(
        self, client: httpx.AsyncClient
    ) -> None:
        other = FastAPI()
        add_service_defaults(other, DemoSettings(), health=Health())

        @other.get("/things/{name}")
        async def show(name: str) -> str:
            return name

        before = counted("/things/{name}"), counted("/teapot", status="4xx")
        async with running(other) as url, httpx.AsyncClient(base_url=url) as client_of_other:
            for name in ("a", "b"):
                await client_of_other.get(f"/things/{name}")
            await client.get("/teapot")

        assert (counted("/things/{name}"), counted("/teapot", status="4xx")) == (before[0] + 2, before[1] + 1)

    async def test_metrics_are_there_in_both_formats(self, client: httpx.AsyncClient) -> None:
        await client.get("/teapot")

        text = await client.get("/actuator/prometheus")
        openmetrics = await client.get(
            "/actuator/prometheus", headers={"Accept": "application/openmetrics-text;version=1.0.0"}
        )

        assert "http_requests_total" in text.text
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")

    async def test_the_inside_is_for_admins(self, client: httpx.AsyncClient, tokens: TokenMaker) -> None:
        for method, path in (("GET", "env"), ("GET", "loggers"), ("POST", "loggers/root"), ("POST", "refresh")):
            url = f"/actuator/{path}"
            assert (await client.request(method, url, json={})).status_code == 401
            assert (await client.request(method, url, json={}, headers=tokens.customer())).status_code == 403

        shown = (await client.get("/actuator/env", headers=tokens.admin())).json()

        assert shown["SERVICE_PASSWORD"] == "******"
        assert shown["MAX_BODY_BYTES"] == 1000

    async def test_an_admin_changes_a_log_level(self, client: httpx.AsyncClient, tokens: TokenMaker) -> None:
        url = "/actuator/loggers/demo.part"

        changed = await client.post(url, json={"configuredLevel": "DEBUG"}, headers=tokens.admin())
        half_a_character = b'{"configuredLevel": "\\ud800"}'
        refused = await client.post(url, content=half_a_character, headers=tokens.admin())

        assert (changed.status_code, refused.status_code) == (204, 422)
        shown = (await client.get("/actuator/loggers", headers=tokens.admin())).json()
        assert shown["loggers"]["demo.part"]["effectiveLevel"] == "DEBUG"

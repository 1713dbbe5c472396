"""The merged OpenAPI document and its page."""

import re
from typing import Any

import pytest
from chassis.testing.tokens import TokenMaker
from fastapi import FastAPI
from pydantic import BaseModel
from support.gateways import running_gateway
from support.registry import FakeRegistry
from support.upstreams import echo


class Line(BaseModel):
    product_id: str


class Order(BaseModel):
    lines: list[Line]


def orders_document() -> dict[str, Any]:
    app = FastAPI(title="order-service")

    @app.post("/api/v1/orders")
    async def place(body: Order) -> Order:
        return body

    @app.get("/api/v1/orders/{order_id}", tags=["orders"])
    async def show(order_id: str) -> Order:
        raise NotImplementedError

    @app.get("/internal/things")
    async def internal() -> Line:
        raise NotImplementedError

    return app.openapi()


def products_document() -> dict[str, Any]:
    app = FastAPI(title="inventory-service")

    @app.get("/products/{product_id}")
    async def show(product_id: str) -> Line:
        raise NotImplementedError

    return app.openapi()


ROUTES: list[dict[str, Any]] = [
    {"id": "orders", "prefix": "/api/v1/orders", "uri": "lb://order-service"},
    {
        "id": "stock",
        "prefix": "/stock",
        "uri": "lb://inventory-service",
        "strip-prefix": True,
        "rules": [{"methods": ["GET"], "path": "/products/*", "access": "public"}],
    },
    {"id": "payments", "prefix": "/api/v1/payments", "uri": "lb://payment-service"},
]


@pytest.fixture
def documents() -> dict[str, dict[str, Any]]:
    return {"order-service": orders_document(), "inventory-service": products_document()}


async def merged(tokens: TokenMaker, registry: FakeRegistry, documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    async with echo() as orders, echo() as stock, running_gateway(tokens, ROUTES, registry=registry) as gateway:
        orders.extra["openapi"], stock.extra["openapi"] = documents["order-service"], documents["inventory-service"]
        registry.ports = {"order-service": [orders.port], "inventory-service": [stock.port]}
        read = registry.reads
        while registry.reads < read + 2:
            await gateway.client.get("/actuator/health")
        document: dict[str, Any] = (await gateway.client.get("/openapi.json")).json()
        return document


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(value) for value in node.values()))
    return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()


async def test_it_has_the_paths_as_clients_use_them(
    tokens: TokenMaker, registry: FakeRegistry, documents: dict[str, dict[str, Any]]
) -> None:
    document = await merged(tokens, registry, documents)

    assert set(document["paths"]) == {"/api/v1/orders", "/api/v1/orders/{order_id}", "/stock/products/{product_id}"}


async def test_services_that_are_away_are_left_out_and_named(
    tokens: TokenMaker, registry: FakeRegistry, documents: dict[str, dict[str, Any]]
) -> None:
    document = await merged(tokens, registry, documents)

    assert document["x-missing-services"] == ["payment-service"]
    assert "payment-service" in document["info"]["description"]


async def test_names_do_not_clash_and_every_reference_leads_somewhere(
    tokens: TokenMaker, registry: FakeRegistry, documents: dict[str, dict[str, Any]]
) -> None:
    document = await merged(tokens, registry, documents)

    schemas = document["components"]["schemas"]
    assert {"order-service.Line", "inventory-service.Line", "order-service.Order"} <= set(schemas)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in schemas)  # OpenAPI 3.1, Components Object
    found = references(document)
    assert found
    assert {reference.rpartition("/")[2] for reference in found} <= set(schemas)
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids) == 3


async def test_authorize_works_and_public_calls_do_not_ask_for_it(
    tokens: TokenMaker, registry: FakeRegistry, documents: dict[str, dict[str, Any]]
) -> None:
    document = await merged(tokens, registry, documents)

    scheme = document["components"]["securitySchemes"]["login"]
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/login"
    assert document["paths"]["/api/v1/orders"]["post"]["security"] == [{"login": []}]
    assert document["paths"]["/stock/products/{product_id}"]["get"]["security"] == []


async def test_a_document_that_is_none_is_left_out(tokens: TokenMaker, registry: FakeRegistry) -> None:
    document = await merged(tokens, registry, {"order-service": {"paths": 1}, "inventory-service": products_document()})

    assert document["x-missing-services"] == ["order-service", "payment-service"]


async def test_the_page_shows_the_merged_document(tokens: TokenMaker) -> None:
    async with running_gateway(tokens, []) as gateway:
        page = await gateway.client.get("/docs")
        redirect = await gateway.client.get("/docs/oauth2-redirect")

    assert page.status_code == redirect.status_code == 200
    assert "/openapi.json" in page.text
    assert "/docs/oauth2-redirect" in page.text

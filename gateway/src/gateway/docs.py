"""The OpenAPI documents of all services as one, with the paths that clients use."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from chassis.discovery import NoInstance, Registry, internal_client, resolve
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.responses import HTMLResponse

from .routes import Access, Route, RouteTable, Target, covers
from .settings import Settings

logger = logging.getLogger(__name__)

_FETCH_TIMEOUT_SECONDS = 3.0
_LOGIN_URL = "/api/v1/auth/login"
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

Document = dict[str, Any]


def docs_routes(docs: "MergedDocs") -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def show_document() -> Document:
        return await docs.document()

    @router.get("/docs")
    async def show_page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json", title="Flotilla", oauth2_redirect_url="/docs/oauth2-redirect"
        )

    @router.get("/docs/oauth2-redirect")
    async def show_redirect() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    return router


class MergedDocs:
    """Asks every routed service for its document, and shows the result again for a few seconds."""

    def __init__(self, settings: Settings, table: Callable[[], RouteTable], registry: Registry | None) -> None:
        self._settings = settings
        self._table = table
        self._registry = registry
        self._lock = asyncio.Lock()
        self._document: Document = {}
        self._made_at = float("-inf")
        self._made_of: RouteTable | None = None

    async def document(self) -> Document:
        async with self._lock:  # many readers at once make one round of questions
            table = self._table()
            age = time.monotonic() - self._made_at
            if table is not self._made_of or age > self._settings.docs_cache_seconds:
                self._document = await self._merge(table)
                self._made_at, self._made_of = time.monotonic(), table
            return self._document

    async def _merge(self, table: RouteTable) -> Document:
        targets = list(dict.fromkeys(route.target for route in table.routes))
        async with internal_client(timeout_seconds=_FETCH_TIMEOUT_SECONDS) as client:
            found = await asyncio.gather(*(self._fetch(client, target) for target in targets))
        documents = {target: document for target, document in zip(targets, found, strict=True) if document is not None}
        missing = sorted(target.name for target in targets if target not in documents)
        return merged(table, documents, missing)

    async def _fetch(self, client: httpx.AsyncClient, target: Target) -> Document | None:
        url = "http://{}:{}".format(*target.address) if target.address else f"lb://{target.name}"
        try:
            answer = await client.get(await resolve(f"{url}/openapi.json", self._registry))
            document = answer.raise_for_status().json()
            if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
                raise ValueError("no OpenAPI document")
        except (httpx.HTTPError, NoInstance, ValueError) as error:
            logger.info("the merged documents go without %s: %s", target.name, error)
            return None
        return document


def merged(table: RouteTable, documents: dict[Target, Document], missing: list[str]) -> Document:
    """One document of many: public paths, names that can't clash, one way to log in."""
    description = "All services of the fleet, as they are reached through the gateway."
    if missing:
        description += f" Not there at the moment, and left out: {', '.join(missing)}."
    whole: Document = {
        "openapi": "3.1.0",
        "info": {"title": "Flotilla", "version": "v1", "description": description},
        "paths": {},
        "components": {"securitySchemes": {"login": _LOGIN}},
        "x-missing-services": missing,
    }
    for target, document in documents.items():
        for path, item in document["paths"].items():
            for route in _routes_of(table, target, path):
                public = (route.prefix if route.strip_prefix and route.prefix != "/" else "") + path
                whole["paths"][public] = _path_item(route, path, _renamed(item, target.name), target.name)
        for section, entries in document.get("components", {}).items():
            if section != "securitySchemes":
                whole["components"].setdefault(section, {}).update(
                    {f"{target.name}.{name}": _renamed(entry, target.name) for name, entry in entries.items()}
                )
    return whole


_LOGIN = {
    "type": "oauth2",
    "description": "Log in with your e-mail address as the user name.",
    "flows": {"password": {"tokenUrl": _LOGIN_URL, "scopes": {}}},
}


def _routes_of(table: RouteTable, target: Target, path: str) -> Iterator[Route]:
    """The routes by which a client reaches this path of the target."""
    covering = [route for route in table.routes if route.target == target and covers(route.seen_prefix, path)]
    longest = max((len(route.seen_prefix) for route in covering), default=0)
    return (route for route in covering if len(route.seen_prefix) == longest)


def _path_item(route: Route, path: str, item: Document, service: str) -> Document:
    for method in _METHODS & item.keys():
        operation = item[method] = dict(item[method])
        operation.setdefault("tags", [service])
        if "operationId" in operation:
            operation["operationId"] = f"{service}.{operation['operationId']}"
        # What counts at the gateway is its own table; a parameter stands for one segment, as in a rule.
        is_public = route.access_of(method.upper(), path) is Access.PUBLIC
        operation["security"] = [] if is_public else [{"login": []}]
    return item


def _renamed(node: Any, service: str) -> Any:
    """The same piece of a document, with its references (and a discriminator's) to the new names of components."""
    if isinstance(node, dict):
        return {key: _renamed(value, service) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, service) for value in node]
    if isinstance(node, str) and node.startswith("#/components/") and node.count("/") == 3:
        section, name = node.removeprefix("#/components/").split("/")
        return f"#/components/{section}/{service}.{name}"
    return node

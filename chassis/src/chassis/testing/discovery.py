"""A discovery-server for tests: instances are put there and taken away by hand, or register themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .server import free_socket, running

Json = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


class FakeDiscovery:
    """Speaks as much of Eureka's REST as our clients use. With `streams` it pushes, as our own server does."""

    def __init__(self, *, streams: bool = False) -> None:
        self.url = ""
        self.streams = streams
        self.is_away = False
        """Answers 503 to everything, as a server that is not warm yet."""
        self.calls: list[str] = []
        """`POST UP`, `PUT`, `DELETE`: what instances did; what is away is not called."""
        self.reads = 0
        self.last_event_ids: list[str] = []
        """What readers of the stream knew already, in the order in which they came."""
        self._entries: dict[tuple[str, str], Json] = {}
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._version = 0

    # -- for tests

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def put(self, service: str, port: int, *, status: str = "UP", up_since_ms: int = 0, **metadata: str) -> None:
        """Register an instance on loopback, or change it."""
        self._set(
            {
                "instanceId": f"127.0.0.1:{service}:{port}",
                "app": service.upper(),
                "hostName": "127.0.0.1",
                "ipAddr": "127.0.0.1",
                "status": status,
                "port": {"$": port, "@enabled": "true"},
                "leaseInfo": {"serviceUpTimestamp": up_since_ms},
                "metadata": {name.replace("_", "-"): value for name, value in metadata.items()},
            }
        )

    def remove(self, service: str, port: int) -> None:
        """It has left."""
        self._delete(service.upper(), f"127.0.0.1:{service}:{port}")

    def forget(self) -> None:
        """As a server that is started anew, which knows nobody and says nothing of those it knew."""
        self._entries.clear()

    def reset(self) -> None:
        """Begin anew, for another test."""
        self.hang_up()
        self.is_away = False
        self._entries.clear()
        self.calls.clear()
        self.last_event_ids.clear()
        self.reads = 0

    def instances(self, service: str) -> list[Json]:
        return [entry for (app, _), entry in self._entries.items() if app == service.upper()]

    def say(self, event: bytes) -> None:
        """Push this to all who listen, as it is."""
        for listener in self._listeners:
            listener.put_nowait(event)

    def hang_up(self) -> None:
        """End all streams."""
        for listener in self._listeners:
            listener.put_nowait(None)

    # -- the server

    def app(self) -> Starlette:
        instance = "/eureka/apps/{app}/{key}"
        return Starlette(
            routes=[
                Route("/eureka/apps", self._unless_away(self._show)),
                Route("/eureka/stream", self._unless_away(self._stream)),
                Route("/eureka/apps/{app}", self._unless_away(self._register), methods=["POST"]),
                Route(instance, self._unless_away(self._renew), methods=["PUT"]),
                Route(instance, self._unless_away(self._cancel), methods=["DELETE"]),
            ]
        )

    def _unless_away(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            return Response(status_code=503) if self.is_away else await handler(request)

        return answer

    async def _show(self, _: Request) -> Response:
        self.reads += 1
        return JSONResponse(self._document())

    async def _stream(self, request: Request) -> Response:
        if not self.streams:
            return Response(status_code=404)
        self.last_event_ids.append(request.headers.get("last-event-id", ""))
        listener: asyncio.Queue[bytes | None] = asyncio.Queue()
        listener.put_nowait(self._event("registry", self._document()))
        self._listeners.add(listener)

        async def events() -> AsyncIterator[bytes]:
            try:
                while (event := await listener.get()) is not None:
                    yield event
            finally:
                self._listeners.discard(listener)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _register(self, request: Request) -> Response:
        entry = (await request.json())["instance"]
        self.calls.append(f"POST {entry['status']}")
        self._set(entry)
        return Response(status_code=204)

    async def _renew(self, request: Request) -> Response:
        self.calls.append("PUT")
        known = (request.path_params["app"], request.path_params["key"]) in self._entries
        return Response(status_code=200 if known else 404)

    async def _cancel(self, request: Request) -> Response:
        self.calls.append("DELETE")
        was_known = self._delete(request.path_params["app"], request.path_params["key"])
        return Response(status_code=200 if was_known else 404)

    def _set(self, entry: Json) -> None:
        name = (entry["app"], entry["instanceId"])
        action = "MODIFIED" if name in self._entries else "ADDED"
        self._entries[name] = entry
        self._tell(action, entry)

    def _delete(self, app: str, key: str) -> bool:
        entry = self._entries.pop((app, key), None)
        if entry is not None:
            self._tell("DELETED", entry)
        return entry is not None

    def _tell(self, action: str, entry: Json) -> None:
        self._version += 1
        change = {"version": self._version, "action": action, "why": "", "instance": entry}
        self.say(self._event("change", change))

    def _event(self, kind: str, document: Json) -> bytes:
        return f"event: {kind}\nid: {self._version}\ndata: {json.dumps(document)}\n\n".encode()

    def _document(self) -> Json:
        apps: dict[str, list[Json]] = {}
        for (app, _), entry in self._entries.items():
            apps.setdefault(app, []).append(entry)
        return {"applications": {"application": [{"name": name, "instance": found} for name, found in apps.items()]}}


@asynccontextmanager
async def fake_discovery(*, streams: bool = False) -> AsyncIterator[FakeDiscovery]:
    """One that is served; `discovery.url` is its base URL without `/eureka`."""
    discovery = FakeDiscovery(streams=streams)
    async with running(discovery.app(), free_socket()) as discovery.url:
        try:
            yield discovery
        finally:
            discovery.is_away = True
            discovery.hang_up()

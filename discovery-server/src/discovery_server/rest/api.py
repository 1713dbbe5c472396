"""Eureka's REST: all paths below /eureka in one table. Pure ASGI."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from discovery_server.access.access import Access
from discovery_server.access.audit import Audit
from discovery_server.documents.answers import Answers
from discovery_server.errors import NoSuchMethod, NoSuchPath
from discovery_server.registry.registry import Registry

from .changing import Changing
from .paths import names_in_path
from .reading import Reading

# What answers a request; a Response of Starlette's is such an app, one that streams as well.
Handler = Callable[[Request], Awaitable[ASGIApp]]


class Resource(Protocol):
    """Some paths of the REST that are served elsewhere: all below one first name."""

    def routes(self, path: Sequence[str]) -> dict[str, Handler]:
        """What can be done at a path below that name, by method. Raises NoSuchPath."""


class _Route(NamedTuple):
    template: str  # what metrics and traces call it
    handlers: dict[str, Handler]


class EurekaApi:
    """One registry over HTTP. Errors are raised as problems, and rendered further out."""

    def __init__(
        self,
        registry: Registry,
        answers: Answers,
        access: Access,
        audit: Audit,
        *,
        resources: Mapping[str, Resource] | None = None,
        may_read: Callable[[], str | None] = lambda: None,
        slow_start_seconds: int = 0,
        patience_seconds: float = 60.0,
    ) -> None:
        """`may_read` says why the registry can't be read yet, or nothing."""
        self._resources = resources or {}
        self._names = frozenset({"apps", "instances", "vips", "svips", *self._resources})
        self._reading = Reading(registry, answers, access, may_read, patience_seconds=patience_seconds)
        self._changing = Changing(registry, access, audit, slow_start_seconds=slow_start_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Names the route in the scope, as `template`, once it is found."""
        route = self._route(names_in_path(scope, self._names))
        scope["template"] = route.template
        method = scope["method"]
        handler = route.handlers.get("GET" if method == "HEAD" else method)
        response: ASGIApp
        if handler is not None:
            response = await handler(Request(scope, receive))
        elif method == "OPTIONS":
            response = Response(headers={"Allow": _allowed(route.handlers)})
        else:
            raise NoSuchMethod(f"{method} can't be done here.", headers={"Allow": _allowed(route.handlers)})
        await response(scope, receive, send)

    def _route(self, names: Sequence[str]) -> _Route:
        """Raises NoSuchPath."""
        read, change = self._reading, self._changing
        match names:
            case ["apps", app, key]:
                return _Route(
                    "/eureka/apps/{app}/{id}",
                    {
                        "GET": lambda r: read.show_instance(r, app, key),
                        "PUT": lambda r: change.renew(r, app, key),
                        "DELETE": lambda r: change.cancel(r, app, key),
                    },
                )
            case ["apps"]:
                return _Route("/eureka/apps", {"GET": read.list_everything})
            case ["apps", "delta"]:
                return _Route("/eureka/apps/delta", {"GET": read.list_changes})
            case ["apps", app]:
                return _Route(
                    "/eureka/apps/{app}",
                    {"GET": lambda r: read.show_application(r, app), "POST": lambda r: change.register(r, app)},
                )
            case ["apps", app, key, "status"]:
                return _Route(
                    "/eureka/apps/{app}/{id}/status",
                    {
                        "PUT": lambda r: change.override_status(r, app, key),
                        "DELETE": lambda r: change.remove_override(r, app, key),
                    },
                )
            case ["apps", app, key, "metadata"]:
                return _Route(
                    "/eureka/apps/{app}/{id}/metadata", {"PUT": lambda r: change.change_metadata(r, app, key)}
                )
            case ["instances", key]:
                return _Route("/eureka/instances/{id}", {"GET": lambda r: read.show_instance_of_any_app(r, key)})
            case ["vips", vip]:
                return _Route("/eureka/vips/{vip}", {"GET": lambda r: read.list_vip(r, vip, secure=False)})
            case ["svips", vip]:
                return _Route("/eureka/svips/{vip}", {"GET": lambda r: read.list_vip(r, vip, secure=True)})
            case [name, *below] if name in self._resources:
                return _Route("/".join(("/eureka", *names)), self._resources[name].routes(below))
            case _:
                raise NoSuchPath("There is nothing here; see the README for what is.")


def _allowed(handlers: Mapping[str, Handler]) -> str:
    return ", ".join(sorted({*handlers, "OPTIONS", *(["HEAD"] if "GET" in handlers else [])}))

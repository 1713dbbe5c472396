"""Sends answers that are at hand without FastAPI's routing, which costs several times what the answer itself does."""

import re
from collections.abc import Callable
from typing import Any

from chassis.problems import Problem
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from . import api

# The form of nearly all requests; a path with any other sign in it is left to the routes.
_PLAIN_PATH = re.compile(rb"/([A-Za-z0-9_-]+)/([A-Za-z0-9_,-]+)(?:/([A-Za-z0-9_-]+))?")


class FastAnswers:
    """Pure ASGI, the innermost middleware: what is done for every request is done for these as well.

    Request ids, spans, metrics and the refusal of paths are the business of the middlewares around this one. Who may
    read, which answer it is and what is sent with it is decided by the code that the routes run, too. Everything
    else is left to the routes: what is refused, and what has to be put together first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._route = _route_to(api.find_environment)
        self._labelled_route = _route_to(api.find_labelled_environment)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._ready_response(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (response or self._app)(scope, receive, send)

    def _ready_response(self, scope: Scope) -> Response | None:
        segments = _PLAIN_PATH.fullmatch(scope.get("raw_path") or b"")
        if segments is None or scope["query_string"] or scope.get("root_path"):
            return None
        application, profile, label = segments.groups()
        try:
            response = api.ready_environment(
                Request(scope), application.decode(), profile.decode(), label.decode() if label else None
            )
        except (Problem, HTTPException):
            return None
        # Spans are named by the route's path: see chassis.web.
        scope["route"] = self._labelled_route if label else self._route
        return response


def _route_to(endpoint: Callable[..., Any]) -> BaseRoute:
    return next(
        route
        for route in api.router.routes
        if getattr(route, "endpoint", None) is endpoint and "GET" in getattr(route, "methods", ())
    )

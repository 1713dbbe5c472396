"""HTTP in: GET /{application}/{profile}[/{label}]."""

import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .asking import METHODS, RESERVED, Application, Asked, Label, Profile
from .errors import NotAcceptable, error_document
from .media_types import V1, V2, wanted_media_type
from .queries import Query, is_file_name
from .resource_api import asks_for_default_label, find_resource
from .wire import EnvironmentJson

router = APIRouter(tags=["configuration"])

# Encoded, these would change how the path is cut into segments; `;` starts a parameter that Java servers cut off.
_NEVER_IN_A_PATH = re.compile(rb"%2f|%5c|%00|\\|;|%3b|[\x00-\x1f\x7f]", re.IGNORECASE)
_DOTS = re.compile(rb"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)

_answers: dict[int | str, dict[str, Any]] = {
    200: {"description": "the environment; the strongest property source comes first", "content": {V1: {}, V2: {}}},
    400: {"description": "a name that can't be one"},
    401: {"description": "no credential, or a wrong one"},
    403: {"description": "another application's configuration"},
    404: {"description": "no such label, or the default label can't be read"},
    406: {"description": "JSON is not wanted"},
    500: {"description": "a configuration file of this label can't be read"},
}


@router.head("/{application}/{profile}", include_in_schema=False)
@router.get("/{application}/{profile}", summary="The environment at the default label", responses=_answers)
async def find_environment(application: Application, profile: Profile, request: Request) -> Response:
    return await _asked(request, application, profile, None).find_response()


@router.head("/{application}/{profile}/{label}", include_in_schema=False)
@router.get("/{application}/{profile}/{label}", summary="The environment at a label", responses=_answers)
async def find_labelled_environment(
    application: Application, profile: Profile, label: Label, request: Request
) -> Response:
    if asks_for_default_label(request):  # then the third segment is a plain file
        return await find_resource(request, application, profile, None, label)
    return await _asked(request, application, profile, label).find_response()


@router.options("/{application}/{profile}", include_in_schema=False)
@router.options("/{application}/{profile}/{label}", include_in_schema=False)
async def show_methods(application: str) -> Response:
    if application in RESERVED:
        raise HTTPException(404, "This is no application.")
    return Response(headers={"Allow": METHODS})


def ready_environment(request: Request, application: str, profile: str, label: str | None) -> Response | None:
    """The environment if it is at hand. Raises what the routes raise, a Problem or an HTTPException."""
    return _asked(request, application, profile, label).ready_response()


def _asked(request: Request, application: str, profile: str, label: str | None) -> Asked:
    if application in RESERVED or is_file_name(profile):
        raise HTTPException(404, "This is no application's configuration.")
    media_type = wanted_media_type(request.headers.get("accept"))
    if media_type is None:
        raise NotAcceptable(f"An environment is {V1} or {V2}.")
    query = Query.of(application, profile, label)
    return Asked.of(request, query, EnvironmentJson(media_type), media_type, headers={"Vary": "Accept"})


class CleanPaths:
    """Pure ASGI: refuses paths that try to be read differently by different readers, before anything reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: bytes = scope.get("raw_path") or scope["path"].encode()
            path = path.partition(b"?")[0]
            if _NEVER_IN_A_PATH.search(path) or _DOTS.search(path):
                reason = "The path has something in it that no name can have."
                if scope["method"] == "POST":  # no path with dots leads to a route for that, in Spring either
                    refusal = error_document(scope, 405, reason, {"Allow": "GET"})
                else:
                    refusal = error_document(scope, 400, reason)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

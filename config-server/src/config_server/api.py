"""HTTP in: GET /{application}/{profile}[/{label}]."""

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .access import Access
from .errors import NotAcceptable, error_document
from .media_types import V1, V2, wanted_media_type
from .queries import Query, is_file_name
from .serving import ConfigurationService

router = APIRouter(tags=["configuration"])

# First segments that are never an application: the server's own, and those that Spring keeps for other things.
RESERVED = frozenset(
    {"actuator", "docs", "redoc", "openapi.json", "health", "metrics"}
    | {"encrypt", "decrypt", "key", "monitor", "explain"}
)

# Encoded, these would change how the path is cut into segments; `;` starts a parameter that Java servers cut off.
_NEVER_IN_A_PATH = re.compile(rb"%2f|%5c|%00|\\|;|%3b|[\x00-\x1f\x7f]", re.IGNORECASE)
_DOTS = re.compile(rb"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)

_METHODS = "GET,HEAD,OPTIONS"

_answers: dict[int | str, dict[str, Any]] = {
    200: {"description": "the environment; the strongest property source comes first", "content": {V1: {}, V2: {}}},
    400: {"description": "a name that can't be one"},
    401: {"description": "no credential, or a wrong one"},
    403: {"description": "another application's configuration"},
    404: {"description": "no such label, or the default label can't be read"},
    406: {"description": "JSON is not wanted"},
    500: {"description": "a configuration file of this label can't be read"},
}

Application = Annotated[str, Path(description="name of the application; several with commas; `(_)` for a slash")]
Profile = Annotated[str, Path(description="profile; several with commas, the last is the strongest")]
Label = Annotated[str, Path(description="branch, tag or commit; several with commas; `(_)` for a slash")]


def _service(request: Request) -> ConfigurationService:
    service: ConfigurationService = request.app.state.service
    return service


Service = Annotated[ConfigurationService, Depends(_service)]


@router.head("/{application}/{profile}", include_in_schema=False)
@router.get("/{application}/{profile}", summary="The environment at the default label", responses=_answers)
async def find_environment(application: Application, profile: Profile, request: Request, service: Service) -> Response:
    return await _environment(request, service, application, profile, None)


@router.head("/{application}/{profile}/{label}", include_in_schema=False)
@router.get("/{application}/{profile}/{label}", summary="The environment at a label", responses=_answers)
async def find_labelled_environment(
    application: Application, profile: Profile, label: Label, request: Request, service: Service
) -> Response:
    if "useDefaultLabel" in request.query_params:  # then Spring takes the third segment for a plain file
        raise HTTPException(404, "Plain files are not served.")
    return await _environment(request, service, application, profile, label)


@router.options("/{application}/{profile}", include_in_schema=False)
@router.options("/{application}/{profile}/{label}", include_in_schema=False)
async def show_methods(application: str) -> Response:
    if application in RESERVED:
        raise HTTPException(404, "This is no application.")
    return Response(headers={"Allow": _METHODS})


async def _environment(
    request: Request, service: ConfigurationService, application: str, profile: str, label: str | None
) -> Response:
    if application in RESERVED or is_file_name(profile):
        raise HTTPException(404, "This is no application's configuration.")
    media_type = wanted_media_type(request.headers.get("accept"))
    if media_type is None:
        raise NotAcceptable(f"An environment is {V1} or {V2}.")
    query = Query.of(application, profile, label)
    access: Access = request.app.state.access
    access.check(request.headers.get("authorization"), query)
    # An answer at hand costs a look at one small file; what has to be read and parsed must not hold up the others.
    answer = service.ready_answer(query, media_type)
    if answer is None:
        answer = await asyncio.to_thread(service.find_environment, query, media_type)
    headers = {"X-Config-Stale": "true"} if answer.broken else {}
    return Response(answer.body, media_type=media_type, headers=headers)


class CleanPaths:
    """Pure ASGI: refuses paths that try to be read differently by different readers, before anything reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: bytes = scope.get("raw_path") or scope["path"].encode()
            path = path.partition(b"?")[0]
            if _NEVER_IN_A_PATH.search(path) or _DOTS.search(path):
                refusal = error_document(scope, 400, "The path has something in it that no name can have.")
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

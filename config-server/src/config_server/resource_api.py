"""HTTP in: GET /{application}/{profile}/{label}/{path}, the files of the repository as they are."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .access import Access
from .asking import METHODS, RESERVED, Application, Asked, Label, Profile
from .errors import NothingServed, ResourceMissing
from .flat_api import resolves_placeholders
from .media_types import accepted_media_types
from .queries import Query
from .resources import BinaryFile, TextFile, charset_of, file_names

router = APIRouter(tags=["files"])

_BINARY = "application/octet-stream"
_TEXT = "text/plain;charset=UTF-8"
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")

# Spring's list: what has another extension could be taken for something to run (reflected file download).
_HARMLESS = frozenset(
    {"txt", "text", "yml", "properties", "csv", "json", "xml", "atom", "rss"}
    | {"png", "jpe", "jpeg", "jpg", "gif", "wbmp", "bmp"}
)

# What a browser is shown must not run, whatever type it asked for.
_HEADERS = {"Vary": "Accept, Accept-Charset", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}

_answers: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file; as text with its placeholders replaced",
        "content": {"text/plain": {}, _BINARY: {}},
    },
    304: {"description": "the client has it"},
    404: {"description": "no such file or label; without a body"},
}

FilePath = Annotated[str, Path(description="the file's path in the root or in a search path")]


@router.head("/{application}/{profile}/{label}/{path:path}", include_in_schema=False)
@router.get("/{application}/{profile}/{label}/{path:path}", summary="A file as it is", responses=_answers)
async def find_labelled_resource(
    application: Application, profile: Profile, label: Label, path: FilePath, request: Request
) -> Response:
    return await find_resource(request, application, profile, label, path)


@router.options("/{application}/{profile}/{label}/{path:path}", include_in_schema=False)
async def show_methods(application: str) -> Response:
    if application in RESERVED:
        raise HTTPException(404, "This is no application.")
    return Response(headers={"Allow": METHODS})


def asks_for_default_label(request: Request) -> bool:
    """Whether the path ends in a file at the default label: `/{application}/{profile}/{file}?useDefaultLabel`."""
    return "useDefaultLabel" in request.query_params


async def find_resource(request: Request, application: str, profile: str, label: str | None, path: str) -> Response:
    """The file, or 404 without a body, as in Spring."""
    if application in RESERVED:
        raise HTTPException(404, "This is no application.")
    resolves = resolves_placeholders(request)
    try:
        query = Query.of(application, profile, label)
        if query.labels is not None and len(query.labels) > 1:
            raise ResourceMissing("A file is looked for at one label.")
        names = file_names(path, query.profiles)
        media_type = _media_type(request)
        form = (
            BinaryFile(names)
            if media_type == _BINARY
            else TextFile(names, charset_of(request.headers.get("accept-charset")), resolves)
        )
        asked = Asked.of(request, query, form, media_type, headers=_headers(path), is_dated=True)
        access: Access = request.app.state.access
        access.check_files(asked.reader, names)
        return await asked.find_response()
    except NothingServed as error:
        raise ResourceMissing(error.detail) from error


def _media_type(request: Request) -> str:
    """Bytes for those who take bytes; otherwise a text, under the name that the client has for it."""
    accepted = accepted_media_types(request.headers.get("accept"))
    if _BINARY in accepted or "application/*" in accepted:
        return _BINARY
    named = next((name for name in accepted if _MEDIA_TYPE.fullmatch(name)), None)
    if named is None:
        return _TEXT
    return named if named == "application/json" or named.endswith("+json") else f"{named};charset=UTF-8"


def _headers(path: str) -> dict[str, str]:
    name = path.rpartition("/")[2]
    _stem, dot, extension = name.rpartition(".")
    if dot and extension.lower() not in _HARMLESS:
        return {**_HEADERS, "Content-Disposition": "inline;filename=f.txt"}
    return _HEADERS

"""HTTP in: GET /{application}-{profiles}.yml and its like, with a label before it or without."""

from typing import Annotated, Any

from chassis.problems import BadRequest
from fastapi import APIRouter, Path, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from .asking import METHODS, Asked, Label
from .flat_formats import FlatFormat, Nothing
from .precedence import DEFAULT_PROFILE, SHARED_NAME
from .queries import Query

router = APIRouter(tags=["flat formats"])

_EXTENSIONS = {"yml": "text/plain", "yaml": "text/plain", "properties": "text/plain", "json": "application/json"}

# As Spring converts a request's parameter.
_BOOLEANS = {"": True, "true": True, "on": True, "yes": True, "1": True} | dict.fromkeys(
    ("false", "off", "no", "0"), False
)


class _FlatName(Convertor[str]):
    """`order-service-prod.yml`; the profiles begin after the last hyphen, and either may be left out."""

    regex = rf"[^/]*-[^/-]*\.(?:{'|'.join(_EXTENSIONS)})"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _LabelledFlatName(_FlatName):
    """The same after a label, where Spring takes what ends in `-.yml` for a profile."""

    regex = rf"[^/]*-[^/-]*(?<=\w)\.(?:{'|'.join(_EXTENSIONS)})"


register_url_convertor("flat_name", _FlatName())
register_url_convertor("labelled_flat_name", _LabelledFlatName())

_answers: dict[int | str, dict[str, Any]] = {
    200: {"description": "all keys with their strongest values", "content": {"text/plain": {}, "application/json": {}}},
    304: {"description": "the client has it"},
    400: {"description": "a placeholder that leads back to itself, or a key that is no path"},
    404: {"description": "no such label, or the default label can't be read"},
    500: {"description": "a configuration file can't be read, or two keys contradict each other"},
}

FileName = Annotated[str, Path(description="`{application}-{profiles}` with .yml, .yaml, .properties or .json")]


@router.head("/{file_name:flat_name}", include_in_schema=False)
@router.get("/{file_name:flat_name}", summary="All keys, at the default label", responses=_answers)
async def find_flat(file_name: FileName, request: Request) -> Response:
    return await _flat(request, file_name, None)


@router.head("/{label}/{file_name:labelled_flat_name}", include_in_schema=False)
@router.get("/{label}/{file_name:labelled_flat_name}", summary="All keys, at a label", responses=_answers)
async def find_labelled_flat(label: Label, file_name: FileName, request: Request) -> Response:
    return await _flat(request, file_name, label)


@router.options("/{file_name:flat_name}", include_in_schema=False)
@router.options("/{label}/{file_name:labelled_flat_name}", include_in_schema=False)
async def show_methods() -> Response:
    return Response(headers={"Allow": METHODS})


def resolves_placeholders(request: Request) -> bool:
    """What `?resolvePlaceholders` says; without it they are resolved. Raises BadRequest."""
    said = request.query_params.getlist("resolvePlaceholders")
    wanted = _BOOLEANS.get(said[0].strip().lower()) if said else True
    if wanted is None:
        raise BadRequest("resolvePlaceholders is true or false.")
    return wanted


async def _flat(request: Request, file_name: str, label: str | None) -> Response:
    resolves = resolves_placeholders(request)
    stem, _, extension = file_name.rpartition(".")
    application, _, profiles = stem.rpartition("-")
    form = FlatFormat(extension, resolves) if application and profiles else Nothing(extension)
    query = Query.of(application or SHARED_NAME, profiles or DEFAULT_PROFILE, label)
    return await Asked.of(request, query, form, _EXTENSIONS[extension]).find_response()

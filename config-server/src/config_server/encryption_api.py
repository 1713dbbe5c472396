"""HTTP in: POST /encrypt and /decrypt, and what Spring has beside them."""

from typing import Annotated, Any
from urllib.parse import unquote_plus

from chassis.problems import BadRequest
from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .access import Access
from .audit import Audit
from .encryption import KeyRing, Undecryptable
from .precedence import DEFAULT_PROFILE, SHARED_NAME
from .queries import Query

router = APIRouter(tags=["encryption"])

_TEXT = "text/plain;charset=UTF-8"
_FORM = "application/x-www-form-urlencoded"

_body: dict[str, Any] = {"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}}
_answers: dict[int | str, dict[str, Any]] = {
    200: {"content": {_TEXT: {}}},
    400: {"description": "an empty body, a name that can't be one, or a text that no known key decrypts"},
    401: {"description": "no credential, or a wrong one"},
    404: {"description": "no key is installed"},
}

Application = Annotated[str, Path(description="for whom; all applications have the same keys")]
Profiles = Annotated[str, Path(description="for which profiles; all have the same keys")]


@router.get("/encrypt/status", summary="Whether there is a key", responses={404: _answers[404]})
async def show_status(request: Request) -> Response:
    _access(request).reader(request.headers.get("authorization"))
    return _no_key() if _key_ring(request) is None else JSONResponse({"status": "OK"})


@router.get("/key", summary="The public key, of which there is none", status_code=404)
@router.get("/key/{application}/{profiles}", include_in_schema=False)
async def show_public_key(request: Request) -> Response:
    _access(request).reader(request.headers.get("authorization"))
    return _refusal(404, "NOT_FOUND", "No public key available")


@router.post(
    "/encrypt",
    summary="Encrypt a text; in a file `{cipher}` goes before it",
    response_class=PlainTextResponse,
    responses=_answers,
    openapi_extra=_body,
)
async def encrypt(request: Request) -> Response:
    return await encrypt_for(SHARED_NAME, DEFAULT_PROFILE, request)


@router.post("/encrypt/{application}/{profiles}", response_class=PlainTextResponse, openapi_extra=_body)
async def encrypt_for(application: Application, profiles: Profiles, request: Request) -> Response:
    # What is encrypted tells nobody anything: an application may hand a secret to any other.
    _access(request).reader(request.headers.get("authorization"))
    Query.of(application, profiles, None)
    key_ring = _key_ring(request)
    if key_ring is None:
        return _no_key()
    return _text(key_ring.encrypt(await _sent_text(request)))


@router.post(
    "/decrypt",
    summary="Decrypt what was encrypted, without its `{cipher}`; for the admin",
    response_class=PlainTextResponse,
    responses={**_answers, 403: {"description": "not the admin"}},
    openapi_extra=_body,
)
async def decrypt(request: Request) -> Response:
    return await decrypt_for(SHARED_NAME, DEFAULT_PROFILE, request)


@router.post("/decrypt/{application}/{profiles}", response_class=PlainTextResponse, openapi_extra=_body)
async def decrypt_for(application: Application, profiles: Profiles, request: Request) -> Response:
    reader = _access(request).admin(request.headers.get("authorization"))
    Query.of(application, profiles, None)
    key_ring = _key_ring(request)
    if key_ring is None:
        return _no_key()
    try:
        text = key_ring.decrypt(await _sent_text(request))
    except Undecryptable:
        return _refusal(400, "INVALID", "Text not encrypted with this key")
    audit: Audit = request.app.state.audit
    audit.note_decryption(reader, application, profiles)
    return _text(text)


async def _sent_text(request: Request) -> str:
    """The body as it was meant. Raises BadRequest.

    `curl -d` sends a text as a form, where it is written with escapes, and some clients put `=` after it, as after
    the name of a field; that is taken off from all but plain text, as Spring does.
    """
    body = await request.body()
    if not body:
        raise BadRequest("The body is the text, and there is none.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not text in UTF-8.") from error
    media_type = request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if media_type == "text/plain":
        return text
    if media_type == _FORM or text.endswith("="):
        text = unquote_plus(text)
    return text.removesuffix("=")


def _text(text: str) -> Response:
    return PlainTextResponse(text, media_type=_TEXT, headers={"Cache-Control": "no-store"})


def _no_key() -> Response:
    return _refusal(404, "NO_KEY", "No key was installed for encryption service")


def _refusal(status: int, code: str, description: str) -> Response:
    return JSONResponse({"description": description, "status": code}, status)


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


def _key_ring(request: Request) -> KeyRing | None:
    key_ring: KeyRing | None = request.app.state.key_ring
    return key_ring

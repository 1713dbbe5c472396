"""Eureka's REST: register, renew, leave, override, list. Pure ASGI, mounted at /eureka."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import json_codec, xml_codec
from .access import Access
from .answers import Answers, Codec, Form, Kind
from .errors import (
    EurekaProblem,
    Incomplete,
    NoSuchInstance,
    NoSuchMethod,
    NoSuchPath,
    Unreadable,
    UnsupportedMediaType,
)
from .instance import OddText, Status, readable_metadata
from .media import form_of, takes_gzip
from .metrics import REGISTRATIONS, RENEWALS
from .registration import whole_number
from .registry import Registry

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

_RESOURCES = frozenset({"apps", "instances", "vips", "svips"})
_READERS: dict[str, Codec] = {json_codec.MEDIA_TYPE: json_codec, xml_codec.MEDIA_TYPE: xml_codec}
_VARY = "Accept, Accept-Encoding, X-Eureka-Accept"


class EurekaApi:
    """One registry over HTTP. Errors are raised as problems; their bodies are taken off further out."""

    def __init__(self, registry: Registry, access: Access) -> None:
        self._registry = registry
        self._answers = Answers(registry)
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NoSuchPath("Only HTTP is spoken here.")
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    def _routes(self, path: Sequence[str]) -> dict[str, Handler]:
        """What can be done at a path, by method. Raises NoSuchPath."""
        match path:
            case ["apps"]:
                return {"GET": self._list_everything}
            case ["apps", "delta"]:
                return {"GET": self._list_changes}
            case ["apps", app]:
                return {"GET": lambda r: self._show_application(r, app), "POST": lambda r: self._register(r, app)}
            case ["apps", app, key]:
                return {
                    "GET": lambda r: self._show_instance(r, app, key),
                    "PUT": lambda r: self._renew(r, app, key),
                    "DELETE": lambda r: self._cancel(r, app, key),
                }
            case ["apps", app, key, "status"]:
                return {
                    "PUT": lambda r: self._override_status(r, app, key),
                    "DELETE": lambda r: self._remove_override(r, app, key),
                }
            case ["apps", app, key, "metadata"]:
                return {"PUT": lambda r: self._change_metadata(r, app, key)}
            case ["instances", key]:
                return {"GET": lambda r: self._show_instance_of_any_app(r, key)}
            case ["vips", vip]:
                return {"GET": lambda r: self._list_vip(r, vip, secure=False)}
            case ["svips", vip]:
                return {"GET": lambda r: self._list_vip(r, vip, secure=True)}
            case _:
                raise NoSuchPath("There is nothing here; see the README for what is.")

    async def _answer(self, request: Request) -> Response:
        routes = self._routes(_segments(request.scope))
        method = "GET" if request.method == "HEAD" else request.method
        allowed = ", ".join(sorted({*routes, "OPTIONS", *(["HEAD"] if "GET" in routes else [])}))
        if method == "OPTIONS":
            return Response(headers={"Allow": allowed})
        handler = routes.get(method)
        if handler is None:
            raise NoSuchMethod(f"{request.method} can't be done here.", headers={"Allow": allowed})
        return await handler(request)

    # -- reading

    async def _list_everything(self, request: Request) -> Response:
        return self._list(request, "full")

    async def _list_changes(self, request: Request) -> Response:
        return self._list(request, "delta")

    def _list(self, request: Request, kind: Kind) -> Response:
        form = self._reading(request)
        gzipped = takes_gzip(request.headers.get("accept-encoding"))
        headers = {"ETag": self._answers.tag(kind, form, gzipped=gzipped), "Vary": _VARY}
        if _knows(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        body = (self._answers.full if kind == "full" else self._answers.delta)(form, gzipped=gzipped)
        return Response(body, headers=headers, media_type=form.codec.MEDIA_TYPE)

    async def _show_application(self, request: Request, app: str) -> Response:
        form = self._reading(request)
        instances = self._registry.application(app)
        if not instances:
            raise NoSuchInstance(f"No instance of {app.upper()} is registered.")
        return _document(self._answers.application(app.upper(), instances, form), form)

    async def _show_instance(self, request: Request, app: str, key: str) -> Response:
        form = self._reading(request)
        return _document(form.codec.write_instance(self._registry.instance(app, key)), form)

    async def _show_instance_of_any_app(self, request: Request, key: str) -> Response:
        form = self._reading(request)
        return _document(form.codec.write_instance(self._registry.instance_of_any_app(key)), form)

    async def _list_vip(self, request: Request, vip: str, *, secure: bool) -> Response:
        form = self._reading(request)
        return _document(self._answers.with_vip(vip, form, secure=secure), form)

    # -- changing

    async def _register(self, request: Request, app: str) -> Response:
        self._changing(request, app)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        codec = _READERS.get(content_type)
        if codec is None:
            raise UnsupportedMediaType("Send an instance as application/json or application/xml.")
        try:
            instance = codec.read_instance(await _body(request))
            if instance.app != app.upper():
                raise Incomplete(f"Mismatched appName, expecting {app.upper()} but was {instance.app}")
        except EurekaProblem as problem:
            logger.warning("a registration of %s was refused: %s", app.upper(), problem.detail)
            raise
        registered = self._registry.register(instance)
        REGISTRATIONS.labels(registered.app).inc()
        logger.info("%s registered %s as %s", registered.app, registered.key, registered.status)
        return Response(status_code=204)

    async def _renew(self, request: Request, app: str, key: str) -> Response:
        form = self._changing(request, app)
        dirty_ms = self._dirty_ms(request, app, key)
        instance = self._registry.renew(app, key, dirty_ms=dirty_ms)
        RENEWALS.inc()
        if dirty_ms is not None and dirty_ms < instance.dirty_ms and _is_replicated(request):
            # The peer that sent this knows an older instance; it takes ours from the body.
            return _document(form.codec.write_instance(self._registry.instance(app, key)), form, status=409)
        return Response()

    async def _cancel(self, request: Request, app: str, key: str) -> Response:
        self._changing(request, app)
        self._registry.cancel(app, key)
        logger.info("%s deregistered %s", app.upper(), key)
        return Response()

    async def _override_status(self, request: Request, app: str, key: str) -> Response:
        self._changing(request, app)
        dirty_ms = self._dirty_ms(request, app, key)
        status = _status(_first(request, "value"))
        self._registry.override_status(app, key, status, dirty_ms=dirty_ms)
        logger.info("the status of %s of %s is overridden: %s", key, app.upper(), status)
        return Response()

    async def _remove_override(self, request: Request, app: str, key: str) -> Response:
        self._changing(request, app)
        dirty_ms = self._dirty_ms(request, app, key)
        status = _status(_first(request, "value", Status.UNKNOWN))
        self._registry.remove_override(app, key, status, dirty_ms=dirty_ms)
        logger.info("the status of %s of %s is its own again", key, app.upper())
        return Response()

    async def _change_metadata(self, request: Request, app: str, key: str) -> Response:
        self._changing(request, app)
        self._registry.instance(app, key)
        pairs: dict[str, str] = {}
        for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
            pairs.setdefault(name, value)  # the first of several, as in Eureka
        try:
            self._registry.change_metadata(app, key, readable_metadata(pairs))
        except OddText as error:
            raise Unreadable(str(error)) from error
        return Response()

    # -- what several of these do

    def _reading(self, request: Request) -> Form:
        self._access.require_any(request.headers.get("authorization"))
        return _form(request)

    def _changing(self, request: Request, app: str) -> Form:
        self._access.require_name(app, request.headers.get("authorization"))
        return _form(request)

    def _dirty_ms(self, request: Request, app: str, key: str) -> int | None:
        """The client's time stamp in the query. Raises Unreadable, or NoSuchInstance if that is wrong as well."""
        text = _first(request, "lastDirtyTimestamp")
        if text is None:
            return None
        try:
            return whole_number(text)
        except ValueError as error:
            self._registry.instance(app, key)
            raise Unreadable(f"lastDirtyTimestamp is {text[:40]!r}, which is no number of milliseconds.") from error


def _segments(scope: Scope) -> list[str]:
    """The parts of the path below /eureka, without a version in front and one slash at the end. Raises Unreadable."""
    raw = scope.get("raw_path") or b""
    if b"%2f" in raw.lower() or b"%5c" in raw.lower():
        raise Unreadable("A slash in a name, percent-encoded, can't be told from one between names.")
    path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/").removesuffix("/")
    segments: list[str] = path.split("/")
    # Eureka proper puts a version first (/eureka/v2/apps); any version is taken, as there.
    if len(segments) > 1 and segments[0] and segments[0] not in _RESOURCES and segments[1] in _RESOURCES:
        del segments[0]
    if "" in segments:
        raise NoSuchPath("There is an empty name in this path.")
    return segments


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise Unreadable("The client went away before it had sent everything.") from error


def _form(request: Request) -> Form:
    return form_of(request.headers.get("accept"), request.headers.get("x-eureka-accept"))


def _document(body: bytes, form: Form, *, status: int = 200) -> Response:
    return Response(body, status, media_type=form.codec.MEDIA_TYPE)


def _knows(request: Request, tag: str) -> bool:
    """RFC 9110 §13.1.2: whether the reader has this answer already."""
    known = request.headers.get("if-none-match", "")
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in known.split(","))


def _is_replicated(request: Request) -> bool:
    return request.headers.get("x-netflix-discovery-replication", "").lower() == "true"


def _first(request: Request, name: str, usual: str | None = None) -> str | None:
    """A parameter of the query; the first of several, as in Eureka."""
    return next(iter(request.query_params.getlist(name)), usual)


def _status(value: str | None) -> Status:
    try:
        return Status(value or "")
    except ValueError as error:
        raise Unreadable(f"The value has to be one of {', '.join(Status)}.") from error

"""What readers ask for: everything, what changed lately, an application, an instance, who has a vip."""

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from discovery_server.access.access import Access
from discovery_server.documents.answers import Answers, Kind
from discovery_server.errors import NoSuchInstance, NotReadYet
from discovery_server.registry.registry import Registry
from discovery_server.wire.form import Form
from discovery_server.wire.media import form_of, form_of_instance, takes_gzip

from .pieces_response import PiecesResponse
from .queries import parameters

_VARY = "Accept, Accept-Encoding, X-Eureka-Accept"


class Reading:
    """The handlers of GET."""

    def __init__(
        self,
        registry: Registry,
        answers: Answers,
        access: Access,
        may_read: Callable[[], str | None],
        *,
        patience_seconds: float,
    ) -> None:
        """`may_read` says why the registry can't be read yet, or nothing. `patience_seconds`: see PiecesResponse."""
        self._registry = registry
        self._answers = answers
        self._access = access
        self._may_read = may_read
        self._patience_seconds = patience_seconds

    async def list_everything(self, request: Request) -> ASGIApp:
        return await self._list(request, "full")

    async def list_changes(self, request: Request) -> ASGIApp:
        return await self._list(request, "delta")

    async def _list(self, request: Request, kind: Kind) -> ASGIApp:
        form = self._form(request)
        gzipped = takes_gzip(request.headers.get("accept-encoding"))
        regions = _regions(request)
        tag = self._answers.tag(kind, form, regions, gzipped=gzipped)
        if _knows(request, tag):
            return Response(status_code=304, headers={"ETag": tag, "Vary": _VARY})
        answer = await self._answers.whole(kind, form, regions, gzipped=gzipped)
        headers = {"ETag": answer.tag, "Vary": _VARY}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return self._large(answer.pieces, form, headers)

    async def show_application(self, request: Request, app: str) -> ASGIApp:
        form = self._form(request)
        body = await self._answers.application(app.upper(), form)
        if body is None:
            raise NoSuchInstance(f"No instance of {app.upper()} is registered.")
        return self._large([body], form)

    async def show_instance(self, request: Request, app: str, key: str) -> ASGIApp:
        form = self._form(request, instance_form_wanted)
        return document(form.codec.write_instance(self._registry.instance(app, key)), form)

    async def show_instance_of_any_app(self, request: Request, key: str) -> ASGIApp:
        form = self._form(request, instance_form_wanted)
        return document(form.codec.write_instance(self._registry.instance_of_any_app(key)), form)

    async def list_vip(self, request: Request, vip: str, *, secure: bool) -> ASGIApp:
        form = self._form(request)
        body = await self._answers.with_vip(vip, form, _regions(request), secure=secure)
        return self._large([body], form)

    def _large(self, pieces: Sequence[bytes], form: Form, headers: Mapping[str, str] | None = None) -> PiecesResponse:
        headers = {"Content-Type": form.codec.MEDIA_TYPE, **(headers or {})}
        return PiecesResponse(pieces, headers, patience_seconds=self._patience_seconds)

    def _form(self, request: Request, wanted: Callable[[Request], Form] | None = None) -> Form:
        """How the reader wants it, if it may read. Raises CredentialNeeded, NotReadYet, NotAcceptable."""
        self._access.require_reader(request.headers.get("authorization"))
        if (why := self._may_read()) is not None:
            raise NotReadYet(why)
        return (wanted or form_wanted)(request)


def form_wanted(request: Request) -> Form:
    """Raises NotAcceptable."""
    return form_of(request.headers.get("accept"), request.headers.get("x-eureka-accept"))


def instance_form_wanted(request: Request) -> Form:
    """For a single instance. Raises NotAcceptable."""
    return form_of_instance(request.headers.get("accept"))


def document(body: bytes, form: Form, *, status: int = 200) -> Response:
    return Response(body, status, media_type=form.codec.MEDIA_TYPE)


def _regions(request: Request) -> list[str]:
    """The names that the query asks for."""
    return parameters(request.scope).get("regions", "").split(",")


def _knows(request: Request, tag: str) -> bool:
    """RFC 9110 §13.1.2: whether the reader has this answer already."""
    known = request.headers.get("if-none-match", "")
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in known.split(","))

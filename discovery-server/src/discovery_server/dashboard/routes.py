"""The pages over HTTP, for browsers: `/`, `/lastn`, the forms, and what came and left as JSON."""

import gzip
from typing import Annotated, Any
from urllib.parse import parse_qs

from chassis.problems import BadRequest
from chassis.web import PlainText
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from discovery_server.access.access import Access, Principal
from discovery_server.access.audit import Asker, Audit
from discovery_server.errors import CredentialNeeded, NotAllowedHere
from discovery_server.registry.leases import Arrival, Departure
from discovery_server.wire.media import takes_gzip

from . import override
from .contents import STATES, Wish
from .document import HEADERS, document
from .history import everything
from .origin import require_same_origin
from .overview import Overviews, Surroundings, header
from .spans import moment

Authorization = Annotated[str | None, Header()]
Encoding = Annotated[str | None, Header(alias="accept-encoding")]
Short = Annotated[PlainText, Query(max_length=1000)]

_GZIP_FROM_BYTES = 20_000
_LONGEST_FORM_BYTES = 20_000
_LASTN_PAUSE_SECONDS = 10.0


def dashboard_routes(around: Surroundings, access: Access, audit: Audit) -> APIRouter:
    """All of them, over one registry."""
    router = APIRouter()
    registry = around.registry
    overviews = Overviews(around)

    @router.get("/", response_class=HTMLResponse)
    async def show_overview(
        q: Short = "",
        status: Short = "",
        app: Short = "",
        page: Annotated[int, Query(ge=1, le=999_999)] = 1,
        authorization: Authorization = None,
        accept_encoding: Encoding = None,
    ) -> Response:
        access.require_reader(authorization)
        wish = Wish(q, status if status in STATES else "", app.upper(), page)
        return _html(overviews.write(wish), accept_encoding)

    @router.get("/lastn", response_class=HTMLResponse)
    async def show_history(authorization: Authorization = None, accept_encoding: Encoding = None) -> Response:
        access.require_reader(authorization)
        title = Markup("<h1>Who came and who left</h1>")
        main = title + everything(registry)
        written = document("Who came and who left", header(around), main, pause_seconds=_LASTN_PAUSE_SECONDS)
        return _html(written, accept_encoding)

    @router.get("/discovery/departures")
    async def list_departures(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100, authorization: Authorization = None
    ) -> dict[str, Any]:
        access.require_reader(authorization)
        left, came = list(registry.departures)[: -limit - 1 : -1], list(registry.arrivals)[: -limit - 1 : -1]
        return {
            "departures": [_told(each) | {"why": each.why} for each in left],
            "arrivals": [_told(each) for each in came],
        }

    @router.get("/override", response_class=HTMLResponse)
    async def ask(
        app: Short,
        key: Annotated[PlainText, Query(alias="id", max_length=1000)],
        to: Short,
        back: Short = "/",
        authorization: Authorization = None,
    ) -> Response:
        _require_admin(access, authorization)
        change = _change({"app": app, "id": key, "to": to, "back": back})
        return _html(override.question(registry, change, header(around)), None)

    @router.post("/override", response_class=HTMLResponse)
    async def change_status(request: Request, authorization: Authorization = None) -> Response:
        require_same_origin(request.headers)
        principal = _require_admin(access, authorization)
        change = _change(await _form(request))
        instance = override.do(registry, change, audit, Asker.of(principal, request.scope))
        return RedirectResponse(change.address_after(instance), status_code=303)

    return router


def _html(written: str, accept_encoding: str | None) -> Response:
    body = written.encode()
    if len(body) < _GZIP_FROM_BYTES or not takes_gzip(accept_encoding):
        return HTMLResponse(body, headers=HEADERS)
    return HTMLResponse(gzip.compress(body, 1), headers=HEADERS | {"Content-Encoding": "gzip"})


def _require_admin(access: Access, authorization: str | None) -> Principal:
    """Raises CredentialNeeded, for a credential of less as well: a browser asks anew after a 401."""
    try:
        return access.require_admin(authorization)
    except NotAllowedHere as refusal:
        raise CredentialNeeded(refusal.detail) from refusal


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises BadRequest."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if content_type != "application/x-www-form-urlencoded" or len(body) > _LONGEST_FORM_BYTES:
        raise BadRequest("Send a short form, as application/x-www-form-urlencoded.")
    try:
        fields = parse_qs(body.decode(), errors="strict", max_num_fields=10)
    except ValueError as error:
        raise BadRequest(f"The form can't be read: {error}.") from error
    return {name: values[0] for name, values in fields.items()}


def _change(fields: dict[str, str]) -> override.Change:
    """What a form asks for. Raises BadRequest."""
    if missing := [name for name in ("app", "id", "to") if not fields.get(name)]:
        raise BadRequest(f"The form lacks {', '.join(missing)}.")
    if fields["to"] not in ("out", "back"):
        raise BadRequest("An instance can be sent `out` or `back`.")
    return override.Change(
        app=fields["app"].upper(),
        key=fields["id"],
        out=fields["to"] == "out",
        wish=override.wish_at(fields.get("back", "/")),
    )


def _told(event: Arrival | Departure) -> dict[str, Any]:
    instance = event.instance
    return {
        "at": moment(event.at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "application": instance.app,
        "instanceId": instance.key,
        "status": instance.status,
        "by": event.by or None,
    }

"""HTTP in: POST /monitor, where Git hosts and people say that something has changed."""

import json
from typing import Annotated, Any
from urllib.parse import parse_qs

from chassis.problems import BadRequest, NotAllowed
from fastapi import APIRouter, Depends, Request

from .access import Access
from .concerned import names_of_all
from .credentials import ADMIN
from .watch import Watches
from .webhooks import Gatekeeper, host_of, paths_given, paths_pushed

router = APIRouter(tags=["changes"])

_FORM = "application/x-www-form-urlencoded"

_answers: dict[int | str, dict[str, Any]] = {
    400: {"description": "neither JSON nor a form, or not what the host sends"},
    401: {"description": "no credential, where it is no Git host's webhook"},
    403: {"description": "no secret is set for the host, or the signature is not made with it"},
    409: {"description": "the delivery was taken before"},
}


def _watches(request: Request) -> Watches:
    watches: Watches = request.app.state.watches
    return watches


def _gatekeeper(request: Request) -> Gatekeeper:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    return gatekeeper


@router.post("/monitor", summary="Say that files have changed", responses=_answers)
async def monitor(
    request: Request,
    watches: Annotated[Watches, Depends(_watches)],
    gatekeeper: Annotated[Gatekeeper, Depends(_gatekeeper)],
) -> list[str]:
    host = host_of(request.headers)
    if host is None:
        _refuse_others_than_the_admin(request)
        names = names_of_all(paths_given(_document(request, await request.body())))
    else:
        body = await request.body()
        gatekeeper.prove(host, request.headers, body)
        names = names_of_all(paths_pushed(host, request.headers, _document(request, body)))
        gatekeeper.take_once(host, request.headers, body)
    watches.look_now(names)
    return names


def _refuse_others_than_the_admin(request: Request) -> None:
    access: Access = request.app.state.access
    # To let anybody read is not to let anybody have things fetched and services called.
    if access.admin(request.headers.get("authorization")).name != ADMIN:
        raise NotAllowed(
            "This is no Git host's signed webhook, so it needs the credential of the user admin "
            "(CONFIG_SERVER_ADMIN_CREDENTIALS)."
        )


def _document(request: Request, body: bytes) -> dict[str, Any]:
    """The JSON object of the body; a form's fields; a form's field `payload`, which is how some hosts send JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        try:
            fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=10_000)
        except ValueError as error:
            raise BadRequest("The body is no form.") from error
        if "payload" not in fields:
            return dict(fields)
        body = fields["payload"][0].encode()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON.") from error
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.")
    return document

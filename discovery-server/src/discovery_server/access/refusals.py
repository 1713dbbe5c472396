"""Sees every 401 and 403 that goes out, whoever made it, and has the audit log know."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discovery_server.errors import REASON_HEADER

from .access import Access
from .audit import Audit, address_of, shortened

_APPLICATION = re.compile(r"/apps/([^/]+)")


class RefusalWatch:
    """Pure ASGI. A failed attempt is told and counted, and never holds up anybody else from the same address.

    There is no lock-out, and no delay: a fleet may be one address to us, and its good credentials must pass whatever
    else is sent from there. What keeps credentials from being guessed is that they are long and random.
    """

    def __init__(self, app: ASGIApp, audit: Audit, access: Access) -> None:
        self._app = app
        self._audit = audit
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_and_tell(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                self._tell(scope, message)
            await send(message)

        await self._app(scope, receive, send_and_tell)

    def _tell(self, scope: Scope, answer: Message) -> None:
        authorization = Headers(scope=scope).get("authorization")
        if authorization is None and scope["method"] in ("GET", "HEAD"):
            return  # how every browser begins: it sends a password when it was asked for one
        name, status = self._access.known_name(authorization), int(answer["status"])
        what = {
            "method": scope["method"],
            "path": shortened(scope["path"]),  # without the query: there may be anything in it
            "reason": Headers(raw=answer["headers"]).get(REASON_HEADER, ""),
        }
        if status == 401 and name is not None:
            what["claimed"] = name
        found = _APPLICATION.search(scope["path"])
        app = found[1].upper() if found and self._access.is_application(found[1]) else None
        self._audit.refused(address_of(scope), name if status == 403 else None, app, status, what)

"""Marks every answer while the copy that it comes from has not been brought up to date for too long."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class StaleAnswers:
    """Pure ASGI: `X-Config-Stale: true` while there is a reason; which, /actuator/health tells."""

    def __init__(self, app: ASGIApp, reason: Callable[[], str | None]) -> None:
        self._app = app
        self._reason = reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._reason() if scope["type"] == "http" and not scope["path"].startswith("/actuator/") else None
        if reason is None:
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Config-Stale"] = "true"
            await send(message)

        await self._app(scope, receive, send_marked)

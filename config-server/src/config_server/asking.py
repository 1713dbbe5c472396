"""One request that may be answered: finds the answer, and says no more than the client does not have yet."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Annotated, Self

from fastapi import Depends, Path, Request
from starlette.responses import Response

from .access import Access
from .audit import Audit
from .choosing import Configurations
from .credentials import Reader
from .forms import Form
from .queries import Query
from .serving import Answer

# First segments that are never an application: the server's own, and those that Spring keeps for other things.
RESERVED = frozenset(
    {"actuator", "docs", "redoc", "openapi.json", "health", "metrics"}
    | {"encrypt", "decrypt", "key", "monitor", "explain"}
)

METHODS = "GET,HEAD,OPTIONS"

Application = Annotated[str, Path(description="name of the application; several with commas; `(_)` for a slash")]
Profile = Annotated[str, Path(description="profile; several with commas, the last is the strongest")]
Label = Annotated[str, Path(description="branch, tag or commit; several with commas; `(_)` for a slash")]


async def _service(request: Request) -> Configurations:
    service: Configurations = request.app.state.service
    return service


Service = Annotated[Configurations, Depends(_service)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of somebody who may read what he asks for."""

    request: Request
    query: Query
    form: Form
    reader: Reader
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_dated: bool = False  # the answer says when it was changed

    @classmethod
    def of(
        cls,
        request: Request,
        query: Query,
        form: Form,
        media_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        is_dated: bool = False,
    ) -> Self:
        """Raises CredentialNeeded or NotAllowed."""
        access: Access = request.app.state.access
        reader = access.check(request.headers.get("authorization"), query)
        return cls(request, query, form, reader, media_type, headers or {}, is_dated)

    def ready_response(self) -> Response | None:
        """The response if it is at hand, which costs a look at one small file."""
        answer = self._service.ready_answer(self.query, self.form)
        return None if answer is None else self._response(answer)

    async def find_response(self) -> Response:
        """The response. What has to be read and parsed for it does not hold up the others."""
        response = self.ready_response()
        if response is None:
            response = self._response(await asyncio.to_thread(self._service.find_answer, self.query, self.form))
        return response

    @property
    def _service(self) -> Configurations:
        service: Configurations = self.request.app.state.service
        return service

    def _response(self, answer: Answer) -> Response:
        headers = {**self.headers, "ETag": answer.etag}
        if self.is_dated:
            headers["Last-Modified"] = formatdate(answer.changed_at, usegmt=True)
        if answer.broken:
            headers["X-Config-Stale"] = "true"
        if self._has(answer):
            return Response(status_code=304, headers=headers)
        audit: Audit = self.request.app.state.audit
        audit.note_read(self.reader, self.query, answer.commits, answer.secrets)
        return Response(answer.body, headers={**headers, "Content-Type": self.media_type})

    def _has(self, answer: Answer) -> bool:
        """Whether the client has this answer (RFC 9110 §13.2.2: its tags count before its date)."""
        tags = self.request.headers.get("if-none-match")
        if tags is not None:
            return tags.strip() == "*" or answer.etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
        since = self.request.headers.get("if-modified-since")
        if since is None or not self.is_dated:
            return False
        try:
            return answer.changed_at <= parsedate_to_datetime(since).timestamp()
        except (ValueError, OverflowError):
            return False

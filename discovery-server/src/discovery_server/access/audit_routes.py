"""The audit log for people: GET /discovery/audit, the newest entry first."""

from itertools import islice
from typing import Annotated

from chassis.pages import Cursor, Limit, Page, decode_cursor, page_of
from chassis.web import PlainText
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter

from .access import Access
from .audit import Audit, Entry

_NUMBER = TypeAdapter(tuple[int])


def audit_routes(audit: Audit, access: Access) -> APIRouter:
    router = APIRouter()

    @router.get("/discovery/audit", summary="Who changed what, and who was refused; for administrators")
    async def show_audit(
        request: Request,
        app: Annotated[PlainText | None, Query(description="only this application's")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Entry]:
        access.require_admin(request.headers.get("authorization"))
        before = decode_cursor(cursor, _NUMBER)
        entries = audit.newest_first(app=app, before=before and before[0])
        return page_of(list(islice(entries, limit + 1)), limit, lambda entry: entry, lambda entry: [entry.number])

    return router

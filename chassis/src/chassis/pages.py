"""Pages of a list, by an opaque cursor that says where the last page ended."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, TypeAdapter

from .problems import BadRequest

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")

_LARGEST_PAGE = 100


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("in UTC this time would not be within the years 1 to 9999") from error


def _written_out(value: Any) -> Any:
    if isinstance(value, str) and "-" not in value[1:]:  # pydantic would read a number as seconds, or milliseconds
        raise ValueError("write the time as RFC 3339 has it, 2026-01-31T12:00:00Z for example")
    return value


# A moment to filter by; without an offset it is in UTC.
Moment = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
Limit = Annotated[int, Query(ge=1, le=_LARGEST_PAGE, description="how many items at most")]
Cursor = Annotated[str | None, Query(max_length=1000, description="next_cursor of the page before")]


class Page(BaseModel, Generic[ItemT]):
    """A part of a list; `next_cursor` is null on the last page."""

    items: list[ItemT]
    next_cursor: str | None


def encode_cursor(values: Sequence[Any]) -> str:
    """The sort values of a page's last item as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, shape: TypeAdapter[RowT]) -> RowT | None:
    """The values of a cursor, a tuple of this shape; None for the first page.

    Raises BadRequest for anything that was not made here.
    """
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return shape.validate_python(values)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The cursor is not one of ours: take next_cursor of the page before, as it is.") from error


_ID = TypeAdapter(tuple[UUID])


def decode_id(cursor: str | None) -> UUID | None:
    """The id in a cursor of a list that is sorted by id alone. Raises BadRequest."""
    position = decode_cursor(cursor, _ID)
    return position[0] if position else None


def page_of(
    rows: Sequence[RowT], limit: int, show: Callable[[RowT], ItemT], position: Callable[[RowT], Sequence[Any]]
) -> Page[ItemT]:
    """A page from up to `limit + 1` rows: the one too many tells that there is a next page."""
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(
        items=[show(row) for row in shown], next_cursor=encode_cursor(position(shown[-1])) if more and shown else None
    )

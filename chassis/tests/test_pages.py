"""Pages of a list: cursors that were made here, and all those that were not."""

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from chassis.pages import decode_cursor, decode_id, encode_cursor, page_of
from chassis.problems import BadRequest
from chassis.web import PlainText

SHAPE = TypeAdapter(tuple[PlainText, UUID])
ID = UUID("0190d0a0-0000-7000-8000-000000000001")


def made_up(values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def test_a_cursor_says_where_a_page_ended() -> None:
    assert decode_cursor(encode_cursor(["Mug, blue", ID]), SHAPE) == ("Mug, blue", ID)
    assert decode_id(encode_cursor([ID])) == ID
    assert decode_id(None) is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, "0123456789abcdef"],
        [None, None, None, None, 1.5],
        [None, None, None, None, 1],
        [1],
        ["x"],
        [str(ID), str(ID)],
        {str(ID): 1},
        str(ID),
        None,
    ],
)
def test_a_cursor_that_was_made_up_is_refused(values: Any) -> None:
    with pytest.raises(BadRequest):
        decode_id(made_up(values))


@pytest.mark.parametrize("name", ["\ud800", "a\0b", 1, None])
def test_a_cursor_with_a_text_that_cannot_be_is_refused(name: Any) -> None:
    with pytest.raises(BadRequest):
        decode_cursor(made_up([name, str(ID)]), SHAPE)


@pytest.mark.parametrize("cursor", ["", "=", "made up", "\u00e9", "A" * 999, "W1s", "W1tb" * 200])
def test_what_is_no_cursor_at_all_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest):
        decode_id(cursor)


def test_the_last_page_has_no_next_one() -> None:
    def page(rows: list[int]) -> tuple[list[int], str | None]:
        made = page_of(rows, 2, lambda row: row, lambda row: [row])
        return made.items, made.next_cursor

    assert page([]) == ([], None)
    assert page([1, 2]) == ([1, 2], None)
    assert page([1, 2, 3]) == ([1, 2], encode_cursor([2]))

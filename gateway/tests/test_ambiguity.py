"""Which request targets have one reading, and which have two."""

import pytest

from gateway.ambiguity import read_path
from gateway.errors import AmbiguousRequest, TargetTooLong


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/api/v1/orders", "/api/v1/orders"),
        (b"/api/v1/orders/", "/api/v1/orders/"),
        (b"/api/v1/orders/0198-ab.c~d_e", "/api/v1/orders/0198-ab.c~d_e"),
        (b"/a/...", "/a/..."),
        (b"/a/.well-known/x", "/a/.well-known/x"),
        (b"/a/b,c@d:e=f&g+h!$'()*", "/a/b,c@d:e=f&g+h!$'()*"),
        (b"/%61ctuator/env", "/actuator/env"),
        (b"/caf%C3%A9", "/café"),
        (b"/100%25", "/100%"),
        (b"/a%20b", "/a b"),
    ],
)
def test_a_plain_target_is_read_as_its_decoded_path(raw: bytes, path: str) -> None:
    assert read_path(raw, b"x=1&y=%2F..") == path


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"api",
        b"//",
        b"//api/v1/orders",
        b"/api//v1",
        b"/api/v1/orders//",
        b"/api/../admin",
        b"/api/..",
        b"/..",
        b"/.",
        b"/api/./v1",
        b"/api/%2e%2e/admin",
        b"/api/.%2E/admin",
        b"/api/%2e/admin",
        b"/api/..;/admin",
        b"/api;x=1/admin",
        b"/api%3b/admin",
        b"/api%2fadmin",
        b"/api%2Fadmin",
        b"/api\\admin",
        b"/api%5cadmin",
        b"/api%5Cadmin",
        b"/api%00",
        b"/api%0d%0aX:1",
        b"/api%7f",
        b"/api%252fadmin",
        b"/api%252e%252e/admin",
        b"/api%25%32%66admin",
        b"/api%3fx",
        b"/api%23x",
        b"/api%",
        b"/api%2",
        b"/api%zz",
        b"/api%ff",
        b"/api%c0%ae%c0%ae/admin",
        b"/api%e0%80%af",
        b"/a b",
        b"/a\xc3\xa9",
        b"/a<b>",
        b'/a"b',
    ],
)
def test_an_ambiguous_target_is_refused(raw: bytes) -> None:
    with pytest.raises(AmbiguousRequest):
        read_path(raw, b"")


@pytest.mark.parametrize("query", [b"a b", b"a\x00", b"a\r\nX: 1", b"a#b"])
def test_a_query_with_what_belongs_escaped_is_refused(query: bytes) -> None:
    with pytest.raises(AmbiguousRequest):
        read_path(b"/api", query)


def test_a_target_may_not_be_endless() -> None:
    with pytest.raises(TargetTooLong):
        read_path(b"/a", b"x" * 9000)

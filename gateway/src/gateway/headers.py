"""Which headers travel on: the client's to the service, the service's to the client."""

import re
from collections.abc import Iterable

from chassis.problems import BodyTooLarge
from chassis.security import Caller

from .errors import AmbiguousRequest, HeadersTooLarge
from .identity import caller_headers, is_reserved

RawHeaders = list[tuple[bytes, bytes]]

# RFC 9110 §7.6.1, and what older proxies took for such: they are about one connection, not about the message.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_PASS, _DROP, _LOOK = 0, 1, 2
_LOOKED_AT = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"authorization",
        b"expect",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
        b"idempotency-key",
    }
)
_kinds: dict[bytes, int] = {}
_MOST_KINDS = 2000  # clients choose the names: what is remembered of them is bounded

_HOST = re.compile(rb"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_ODD_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNREMARKABLE_CONNECTION = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


def _kind_of(name: bytes) -> int:
    plain = name.lower().strip().replace(b"_", b"-")
    if name in _LOOKED_AT:
        kind = _LOOK
    elif plain in _HOP_BY_HOP or plain in _LOOKED_AT or is_reserved(name) or not _TOKEN.fullmatch(name):
        kind = _DROP
    else:
        kind = _PASS
    if len(_kinds) < _MOST_KINDS:
        _kinds[name] = kind
    return kind


class ClientHeaders:
    """What a client's headers say, and which of them travel on. Raises AmbiguousRequest, HeadersTooLarge."""

    __slots__ = (
        "authorization",
        "content_length",
        "expects_continue",
        "has_idempotency_key",
        "host",
        "is_chunked",
        "passed",
        "request_id",
        "traceparent",
        "tracestate",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], *, http_version: str, limit_bytes: int) -> None:
        self.passed: RawHeaders = []
        self.host = b""
        self.content_length = 0
        self.is_chunked = False
        self.authorization: bytes | None = None
        self.has_idempotency_key = False
        self.expects_continue = False
        self.request_id = self.traceparent = self.tracestate = b""
        looked_at: RawHeaders = []
        size = 0
        for pair in headers:
            name, value = pair
            size += len(name) + len(value)
            kind = _kinds.get(name)
            if kind is None:
                kind = _kind_of(name)
            if kind == _PASS:
                self.passed.append(pair)
            elif kind == _LOOK:
                looked_at.append(pair)
            if _ODD_IN_VALUE.search(value):
                raise AmbiguousRequest(f"The header {name.decode('latin-1')} has a control character in its value.")
        if size > limit_bytes:
            raise HeadersTooLarge(f"All headers together may have {limit_bytes} bytes here.")
        self._look_at(looked_at, http_version)

    def _look_at(self, headers: RawHeaders, http_version: str) -> None:
        seen: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in seen and name != b"connection":
                raise AmbiguousRequest(f"The header {name.decode()} is there twice.")
            seen[name] = f"{seen[name]},{value}".encode() if name in seen else value
        ...

"""Which headers travel on: the client's to the service, the service's to the client."""

import re
from collections.abc import Iterable

from .errors import AmbiguousRequest, HeadersTooLarge
from .identity import is_reserved

RawHeaders = list[tuple[bytes, bytes]]

# RFC 9110 §7.6.1, and what older proxies took for such: they are about one connection, not about the message.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# They are read here, and most of them are written anew.
_READ = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"idempotency-key",
        b"traceparent",
        b"tracestate",
        b"transfer-encoding",
        b"x-request-id",
    }
)
_PASS, _DROP, _LOOK = range(3)
_kinds: dict[bytes, int] = {}
_MOST_KINDS = 2000  # clients choose the names: what is remembered of them is bounded

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PLAIN_CONNECTION = frozenset({b"", b"keep-alive", b"close"})


class ClientHeaders:
    """What a client's headers say, and which of them (`passed`) travel on as they are.

    The HTTP parser has refused what is no header at all (RFC 9112 §5: folded lines, spaces before the colon, control
    characters) and what has two lengths; here goes what it lets pass. Raises AmbiguousRequest, HeadersTooLarge.
    """

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
        passed: RawHeaders = []
        read: dict[bytes, bytes] = {}
        size = 0
        for pair in headers:
            name, value = pair
            size += len(name) + len(value)
            kind = _kinds.get(name)
            if kind is None:
                kind = _kind_of(name)
            if kind == _PASS:
                passed.append(pair)
            elif kind == _LOOK:
                if name in read:
                    if name != b"connection":
                        raise AmbiguousRequest(f"The header {name.decode()} is there twice.")
                    value = read[name] + b"," + value
                read[name] = value
        if size > limit_bytes:
            raise HeadersTooLarge(f"All headers together may have {limit_bytes} bytes here.")
        self.passed = passed
        if (connection := read.get(b"connection", b"").strip().lower()) not in _PLAIN_CONNECTION:
            self._drop_listed(connection, read)
        self.host = read.get(b"host", b"").strip()
        if (self.host or http_version == "1.1") and not _HOST.fullmatch(self.host):
            raise AmbiguousRequest("The request must have one Host header with a host (and a port) in it.")
        self._read_framing(read, http_version)
        self.authorization = read.get(b"authorization")
        self.has_idempotency_key = b"idempotency-key" in read
        if self.has_idempotency_key:
            self.passed.append((b"idempotency-key", read[b"idempotency-key"]))
        self.expects_continue = b"expect" in read
        self.request_id = read.get(b"x-request-id", b"")
        self.traceparent = read.get(b"traceparent", b"")
        self.tracestate = read.get(b"tracestate", b"")

    def _drop_listed(self, connection: bytes, read: dict[bytes, bytes]) -> None:
        """Drop what the client calls hop-by-hop, except what is needed to read the message itself."""
        listed = {name.strip() for name in connection.split(b",")}
        self.passed = [pair for pair in self.passed if pair[0] not in listed]
        for name in listed & {b"authorization", b"idempotency-key", b"traceparent", b"tracestate", b"x-request-id"}:
            read.pop(name, None)

    def _read_framing(self, read: dict[bytes, bytes], http_version: str) -> None:
        if http_version not in ("1.1", "1.0"):
            raise AmbiguousRequest("HTTP/1.1 is spoken here.")
        length, encoding = read.get(b"content-length"), read.get(b"transfer-encoding")
        self.is_chunked = encoding is not None
        if encoding is not None:
            if length is not None:
                raise AmbiguousRequest("The body has both a Content-Length and a Transfer-Encoding.")
            if encoding.strip().lower() != b"chunked" or http_version != "1.1":
                raise AmbiguousRequest("Of the transfer encodings, chunked alone is known here, with HTTP/1.1.")
        if length is None:
            self.content_length = 0
        elif (digits := length.strip()).isdigit():
            self.content_length = int(digits)
        else:
            raise AmbiguousRequest("The Content-Length is no number.")


def _kind_of(name: bytes) -> int:
    # CGI-like servers make one of x_user_id and x-user-id: a spelling with underscores is dropped with the other.
    plain = name.replace(b"_", b"-")
    if name in _READ:
        kind = _LOOK
    elif plain in _HOP_BY_HOP or plain in _READ or is_reserved(plain):
        kind = _DROP
    else:
        kind = _PASS
    if len(_kinds) < _MOST_KINDS:
        _kinds[name] = kind
    return kind


# The server in front of the client writes its own date and request id, and frames the body itself.
_WITHOUT_BODY = frozenset({204, 304})
_NOT_RETURNED = _HOP_BY_HOP | {b"date", b"x-request-id"}


def returned_headers(headers: RawHeaders, *, status: int, origin: bytes, stripped: bytes) -> RawHeaders:
    """What of an upstream's headers goes to the client; a Location that names the instance becomes one of ours."""
    returned: RawHeaders = []
    listed: set[bytes] = set()
    for pair in headers:
        name = pair[0]
        if name not in _NOT_RETURNED:
            if name == b"location" and pair[1].startswith(b"http://" + origin):
                path = pair[1][len(b"http://" + origin) :]
                if path[:1] in (b"", b"/", b"?", b"#"):
                    pair = (name, stripped + path or b"/")
            elif name == b"content-length" and status in _WITHOUT_BODY:
                continue  # it speaks of a body that another request would get; the ASGI server would wait for it
            returned.append(pair)
        elif name == b"connection" and pair[1].lower() not in _PLAIN_CONNECTION:
            listed.update(item.strip() for item in pair[1].lower().split(b","))
    return [pair for pair in returned if pair[0] not in listed] if listed else returned

"""Who the caller is: verifies the token, knows which headers only the gateway may set, and sets them."""

from chassis.security import Caller, Security, bearer_token

_RESERVED_PREFIXES = (
    b"x-auth-",
    b"x-authenticated-",
    b"x-caller-",
    b"x-envoy-",
    b"x-forwarded-",
    b"x-http-method",
    b"x-original-",
    b"x-session-",
    b"x-user-",
)
_RESERVED = frozenset(
    {
        b"cf-connecting-ip",
        b"forwarded",
        b"proxy",  # httpoxy: CGI-like servers make HTTP_PROXY of it
        b"remote-user",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-method-override",
        b"x-real-ip",
        b"x-remote-user",
        b"x-rewrite-url",
        b"x-role",
        b"x-roles",
        b"x-user",
    }
)


def is_reserved(name: bytes) -> bool:
    """Whether services would believe it of the gateway alone; `name` in lower case, with hyphens."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


async def caller_of(authorization: bytes | None, security: Security) -> Caller:
    """The caller that an Authorization header names. Raises NotAuthenticated."""
    return await security.caller_of(bearer_token(authorization.decode("latin-1") if authorization else None))


def caller_headers(caller: Caller) -> list[tuple[bytes, bytes]]:
    """What services are told of a caller whose token was verified."""
    return [
        (b"x-user-id", str(caller.user_id).encode("ascii")),
        (b"x-user-role", caller.role.encode("ascii", "replace")),
        (b"x-session-id", caller.session_id.encode("ascii", "replace")),
    ]


def forwarding_headers(*, client: str, scheme: str, host: bytes, stripped: str) -> list[tuple[bytes, bytes]]:
    """How the request came here: for servers that know X-Forwarded-*, and in the words of RFC 7239."""
    address, proto = client.encode("ascii", "replace"), scheme.encode("ascii")
    node = b'"[%b]"' % address if b":" in address else address
    headers = [(b"x-forwarded-for", address), (b"x-forwarded-proto", proto)]
    if host:
        headers.append((b"x-forwarded-host", host))
        headers.append((b"forwarded", b'for=%b;host="%b";proto=%b' % (node, host, proto)))
    else:
        headers.append((b"forwarded", b"for=%b;proto=%b" % (node, proto)))
    if stripped:
        headers.append((b"x-forwarded-prefix", stripped.encode("utf-8")))
    return headers

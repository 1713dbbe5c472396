"""Who the caller is: verifies the token, knows which headers only the gateway may set, and sets them."""

from chassis.security import Caller, Security, bearer_token

# What the gateway says of the caller. Services believe it (after they have checked the token again).
_RESERVED_PREFIXES = (
    "x-user-",
    "x-session-",
    "x-auth-",
    "x-authenticated-",
    "x-caller-",
    "x-forwarded-",
    "x-original-",
    "x-envoy-",
    "x-http-method",
)
_RESERVED = frozenset(
    {
        "forwarded",
        "x-forwarded",
        "x-user",
        "x-role",
        "x-roles",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "remote-user",
        "x-remote-user",
        "x-rewrite-url",
        "x-method-override",
        "x-request-id",
        "traceparent",
        "tracestate",
        "proxy",  # httpoxy: CGI-like servers make HTTP_PROXY of it
    }
)


def is_reserved(name: bytes) -> bool:
    """Whether only the gateway may say this to a service; `x_user_id` counts as `x-user-id`, as CGI-like servers do."""
    plain = name.decode("latin-1").strip().lower().replace("_", "-")
    return plain in _RESERVED or plain.startswith(_RESERVED_PREFIXES)


async def caller_of(authorization: bytes | None, security: Security) -> Caller:
    """The caller that an Authorization header names. Raises NotAuthenticated."""
    return await security.caller_of(bearer_token(authorization.decode("latin-1") if authorization else None))


def caller_headers(caller: Caller) -> list[tuple[bytes, bytes]]:
    """What services are told of a caller whose token was verified."""
    return [
        (b"x-user-id", str(caller.user_id).encode()),
        (b"x-user-role", caller.role.encode("latin-1", "replace")),
        (b"x-session-id", caller.session_id.encode("latin-1", "replace")),
    ]

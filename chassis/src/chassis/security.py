"""Who is calling: access tokens verified with published keys, ended sessions, the caller as a dependency."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from jose import jwk, jwt
from jose.backends.base import Key
from jose.exceptions import JWTError

from .problems import NotAllowed, NotAuthenticated, Problem

logger = logging.getLogger(__name__)

# Asks for the key set; answers the JWKS document. Raises OSError-like failures when it is out of reach.
FetchKeys = Callable[[], Awaitable[dict[str, Any]]]

_ALGORITHM = "RS256"  # the only one, whatever a token's header says (RFC 8725 §3.1)
_TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 §2.1, a media type
_REFETCH_COOL_DOWN_SECONDS = 5.0
_STALE_SECONDS = 30.0  # below the time that a new key is published before it signs
_CACHED_TOKENS = 10_000


class KeysAway(Problem):
    """Nothing can be verified for now; that is no fault of the token's."""

    status = 503
    code = "keys-away"
    title = "Access tokens can't be verified just now"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request comes from, as its verified token says."""

    user_id: UUID
    session_id: str
    role: str
    expires_at: float

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


class KeySet:
    """The token signer's public keys: fetched when a new key id shows up, kept while the signer is away (A2)."""

    def __init__(self, fetch: FetchKeys, *, cool_down_seconds: float = _REFETCH_COOL_DOWN_SECONDS) -> None:
        self._fetch = fetch
        self._cool_down_seconds = cool_down_seconds
        self._keys: dict[str, Key] = {}
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._looking_again: asyncio.Task[None] | None = None

    async def get(self, key_id: str) -> Key | None:
        """The key with this id, or None. A flood of unknown ids leads to one fetch per cool-down.

        Raises KeysAway as long as no keys were ever fetched.
        """
        if key_id not in self._keys:
            await self._look_again(self._cool_down_seconds)
        elif time.monotonic() - self._asked_at > _STALE_SECONDS and not self._lock.locked():
            # Beside the request that noticed it: a key that is published ahead is here before it is needed.
            self._looking_again = asyncio.create_task(self._look_again(_STALE_SECONDS))
        if not self._keys:
            raise KeysAway("The service that publishes the keys has not answered yet.", headers={"Retry-After": "1"})
        return self._keys.get(key_id)

    async def fetch_first(self) -> None:
        """Fetch the keys before the first token comes, however long it takes; to be run as a supervised task."""
        pause = 0.1
        while not self._keys:
            await self._look_again(0)
            if not self._keys:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def _look_again(self, after_seconds: float) -> None:
        async with self._lock:
            if time.monotonic() - self._asked_at > after_seconds:
                await self._refresh()

    async def _refresh(self) -> None:
        try:
            document = await self._fetch()
        except Exception as error:  # any failure to fetch: what is known stays good
            logger.log(
                logging.WARNING if self._keys else logging.INFO,
                "the key set can't be fetched: %s: %s",
                type(error).__name__,
                error,
            )
            # An empty key set is asked for again soon: nothing can be verified without it.
            self._asked_at = time.monotonic() - (0 if self._keys else self._cool_down_seconds - 0.2)
            return
        self._asked_at = time.monotonic()
        self._keys = {
            key["kid"]: jwk.construct(key, _ALGORITHM)
            for key in document.get("keys", [])
            if key.get("kty") == "RSA" and key.get("alg", _ALGORITHM) == _ALGORITHM and "kid" in key
        }


class RevokedSessions:
    """Ids of sessions that were ended while their access tokens were still good. Forgets an id after `keep_seconds`."""

    def __init__(self, keep_seconds: float = 3600.0) -> None:
        self.keep_seconds = keep_seconds
        self._until: dict[str, float] = {}
        self._added = asyncio.Event()

    def add(self, session_id: str) -> None:
        now = time.time()
        if len(self._until) > 1000:
            self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[session_id] = now + self.keep_seconds
        self._added.set()
        self._added = asyncio.Event()

    async def wait_for(self, session_id: str, timeout_seconds: float) -> bool:
        """Whether the id is here within this time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while session_id not in self:
                    await self._added.wait()
        except TimeoutError:
            return False
        return True

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._until


class Security:
    """Verifies access tokens. One for each service; `app.state.security` holds it."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str, revoked: RevokedSessions | None = None) -> None:
        self.keys = keys
        self._issuer = issuer
        self._audience = audience
        self.revoked = revoked if revoked is not None else RevokedSessions()
        self._verified: dict[str, Caller] = {}

    async def caller_of(self, token: str) -> Caller:
        """Who holds this token. Raises NotAuthenticated, with a sentence on what is wrong with it."""
        caller = self._verified.get(token)
        if caller is None:
            caller = await self._verify(token)
            if len(self._verified) >= _CACHED_TOKENS:
                self._verified.pop(next(iter(self._verified)))
            self._verified[token] = caller
        if caller.expires_at <= time.time():
            self._verified.pop(token, None)
            raise NotAuthenticated("The access token has expired; refresh it or log in again.")
        if caller.session_id in self.revoked:
            raise NotAuthenticated("The session of this access token has ended; log in again.")
        return caller

    async def _verify(self, token: str) -> Caller:
        try:
            header = jwt.get_unverified_header(token)
        except JWTError as error:
            raise NotAuthenticated("The access token is not a JWT.") from error
        # jku, x5u and jwk in a header are never looked at: a token does not choose its own key (RFC 8725 §3.10).
        if header.get("alg") != _ALGORITHM:
            raise NotAuthenticated(f"Access tokens are signed with {_ALGORITHM} here.")
        if str(header.get("typ", "")).lower() != _TOKEN_TYPE:
            raise NotAuthenticated(f"This is no access token: its type must be {_TOKEN_TYPE}.")
        key = await self.keys.get(str(header.get("kid", "")))
        if key is None:
            raise NotAuthenticated("The access token is signed with a key that is not known here.")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={"require_exp": True, "require_iat": True, "require_sub": True, "require_aud": True},
            )
            return Caller(
                user_id=UUID(claims["sub"]),
                session_id=str(UUID(claims["sid"])),
                role=str(claims["role"]),
                expires_at=float(claims["exp"]),
            )
        except (JWTError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise NotAuthenticated(f"The access token can't be accepted: {error}") from error


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header (RFC 6750 §2.1). Raises NotAuthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("Send an access token: 'Authorization: Bearer ...'.")
    return token.strip()


# For the OpenAPI document alone, so that Swagger's Authorize works; the token is read by `bearer_token`.
_documented = OAuth2PasswordBearer("/api/v1/auth/login", scheme_name="login", auto_error=False)


async def current_caller(request: Request, _: Annotated[str | None, Depends(_documented)] = None) -> Caller:
    """FastAPI dependency: the caller, or a 401."""
    security: Security = request.app.state.security
    return await security.caller_of(bearer_token(request.headers.get("authorization")))


async def optional_caller(request: Request, _: Annotated[str | None, Depends(_documented)] = None) -> Caller | None:
    """FastAPI dependency of public routes: the caller if a token was sent (a bad one is still a 401)."""
    return await current_caller(request) if "authorization" in request.headers else None


async def require_admin(caller: Annotated[Caller, Depends(current_caller)]) -> Caller:
    """FastAPI dependency: the caller, who is an admin, or a 401 or 403."""
    if not caller.is_admin:
        raise NotAllowed("Only an admin may do this.")
    return caller


CurrentCaller = Annotated[Caller, Depends(current_caller)]
OptionalCaller = Annotated[Caller | None, Depends(optional_caller)]
CurrentAdmin = Annotated[Caller, Depends(require_admin)]


def parse_keys(text: str) -> dict[str, Any]:
    """A JWKS document (RFC 7517 §5). Raises ValueError where it is none."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWKS document")
    return document

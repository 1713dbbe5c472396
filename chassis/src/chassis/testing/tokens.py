"""Access tokens for tests, signed with a key of their own that is published over HTTP as auth-service does."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwk, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.ids import uuid7
from chassis.settings import ServiceSettings

from .server import running


class TokenMaker:
    """Signs what it is told to, also what a real signer would not."""

    def __init__(self, key_id: str = "test-key") -> None:
        self.key_id = key_id
        self.jwks_url = ""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self._private = jwk.construct(private_pem, "RS256")  # once: reading a PEM costs more than signing
        self.public_pem = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def jwks(self) -> dict[str, Any]:
        """The key set that verifiers fetch."""
        public = jwk.construct(self.public_pem, "RS256").to_dict()
        return {"keys": [{**public, "kid": self.key_id, "use": "sig"}]}

    def token(
        self,
        *,
        user_id: UUID | None = None,
        role: str = "customer",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """An access token as auth-service makes them; `claims` and `headers` change or add some."""
        now = int(time.time())
        payload = {
            "iss": ServiceSettings.model_fields["token_issuer"].default,
            "aud": ServiceSettings.model_fields["token_audience"].default,
            "sub": str(user_id or uuid7()),
            "sid": str(uuid7()),
            "jti": str(uuid7()),
            "role": role,
            "iat": now,
            "exp": now + 300,
        }
        return str(
            jwt.encode(
                payload | claims,
                self._private,
                algorithm="RS256",
                headers={"typ": "at+jwt", "kid": self.key_id} | (headers or {}),
            )
        )

    def customer(self, user_id: UUID | None = None) -> dict[str, str]:
        """Request headers of a customer."""
        return {"Authorization": f"Bearer {self.token(user_id=user_id)}"}

    def admin(self) -> dict[str, str]:
        """Request headers of an admin."""
        return {"Authorization": f"Bearer {self.token(role='admin')}"}


@asynccontextmanager
async def published_keys() -> AsyncIterator[TokenMaker]:
    """A token maker whose `jwks_url` answers."""
    maker = TokenMaker()

    async def show_keys(request: Request) -> JSONResponse:
        return JSONResponse(maker.jwks())

    async with running(Starlette(routes=[Route("/.well-known/jwks.json", show_keys)])) as url:
        maker.jwks_url = f"{url}/.well-known/jwks.json"
        yield maker

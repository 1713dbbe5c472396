"""The signing keys: published before they are used, rotated, and kept until what they signed has run out."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from chassis.database import Database
from chassis.ids import uuid7
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwk, jwt
from jose.backends.base import Key
from sqlalchemy import text

from .domain import Session, User
from .settings import Settings
from .storage import KeyStore, SigningKey

logger = logging.getLogger(__name__)

_ALGORITHM = "RS256"
_LOOK_AGAIN_SECONDS = 5.0
_LOCK = 0x6B657973


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    refresh_token: str
    expires_in: int


class Keys:
    """Signs access tokens with the newest active key, and shows the public ones. All instances share the keys."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._keys: Sequence[SigningKey] = ()
        self._signers: dict[str, Key] = {}

    async def run(self) -> None:
        """Rotate when it is time, and see what other instances did; to be run as a supervised task."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self.rotate()

    async def published(self) -> dict[str, Any]:
        """The JWKS document (RFC 7517 §5)."""
        return {"keys": [{**key.public, "kid": key.id, "alg": _ALGORITHM, "use": "sig"} for key in self._keys]}

    def sign(self, user: User, session: Session) -> Tokens:
        """The tokens of a session as it is now. The same state gives the same tokens, letter for letter."""
        key = self._active()
        lifetime = self._settings.access_token_seconds
        issued_at = int(session.rotated_at.timestamp())
        claims = {
            "iss": self._settings.token_issuer,
            "aud": self._settings.token_audience,
            "sub": str(user.id),
            "sid": str(session.id),
            "jti": str(session.access_token_id),
            "role": user.role.value,
            "iat": issued_at,
            "exp": issued_at + lifetime,
        }
        headers = {"typ": "at+jwt", "kid": key.id}
        token = jwt.encode(claims, self._signers[key.id], algorithm=_ALGORITHM, headers=headers)
        return Tokens(token, session.refresh_token(), max(0, issued_at + lifetime - int(time.time())))

    def _active(self) -> SigningKey:
        now = datetime.now(UTC)
        return max((key for key in self._keys if key.signs_from <= now), key=lambda key: key.signs_from)

    async def rotate(self) -> None:
        """Load the keys; make the first one, and a new one when the newest is old enough; drop what has served."""
        now = datetime.now(UTC)
        async with self._database.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            store = KeyStore(session)
            keys = [*await store.all()]
            newest = max((key.signs_from for key in keys), default=None)
            if newest is None or now - newest >= timedelta(seconds=self._settings.key_rotation_seconds):
                # The first key signs at once: nobody has been told of another one.
                lead = timedelta(seconds=self._settings.key_lead_seconds if keys else 0)
                made = await asyncio.to_thread(_make_key, now + lead)
                store.add(made)
                keys.append(made)
                logger.info("made the signing key %s, which signs from %s", made.id, made.signs_from.isoformat())
            for key, successor in _with_successors(keys):
                # What it signed last has run out once its successor has signed for a token's whole life.
                if successor.signs_from + timedelta(seconds=2 * self._settings.access_token_seconds) < now:
                    await store.remove(key)
                    keys.remove(key)
        # Reading a private key takes longer than signing with it: 30 ms.
        new = [key for key in keys if key.id not in self._signers]
        self._signers |= {key.id: await asyncio.to_thread(jwk.construct, key.private_pem, _ALGORITHM) for key in new}
        self._keys = keys


def _with_successors(keys: Sequence[SigningKey]) -> list[tuple[SigningKey, SigningKey]]:
    ordered = sorted(keys, key=lambda key: key.signs_from)
    return list(pairwise(ordered))


def _make_key(signs_from: datetime) -> SigningKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = jwk.construct(public_pem.decode(), _ALGORITHM).to_dict()
    return SigningKey(
        id=str(uuid7()),
        private_pem=private_pem.decode(),
        public={name: value.decode() if isinstance(value, bytes) else value for name, value in public.items()},
        signs_from=signs_from,
    )

"""Accounts, sessions and refused log-ins. Knows nothing of HTTP, SQL, or Kafka."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.ids import uuid7

_FORGOTTEN_AFTER = timedelta(minutes=15)


class Role(StrEnum):
    CUSTOMER = "customer"
    ADMIN = "admin"


class UserStatus(StrEnum):
    ACTIVE = "active"
    LOCKED = "locked"
    DISABLED = "disabled"


@dataclass(eq=False, kw_only=True)
class User:
    """An account. `email` is kept in lower case."""

    id: UUID
    username: str
    email: str
    full_name: str
    password_hash: str
    role: Role
    status: UserStatus
    created_at: datetime

    @classmethod
    def register(
        cls, *, username: str, email: str, full_name: str, password_hash: str, role: Role, now: datetime
    ) -> "User":
        return cls(
            id=uuid7(),
            username=username,
            email=email.lower(),
            full_name=full_name,
            password_hash=password_hash,
            role=role,
            status=UserStatus.ACTIVE,
            created_at=now,
        )

    @property
    def may_log_in(self) -> bool:
        return self.status == UserStatus.ACTIVE


class Refresh(StrEnum):
    """What a refresh token turned out to be."""

    ROTATED = "rotated"
    REPEATED = "repeated"  # the one before the current one, sent twice by mistake
    REUSED = "reused"  # one that was used long ago: somebody has stolen it, or has stolen from
    WRONG = "wrong"


@dataclass(eq=False, kw_only=True)
class Session:
    """One log-in and the refresh tokens that follow from it.

    Token number n is a MAC of n under the session's own secret, so that none has to be kept: the number tells
    whether a token is the current one, the one before, or an old one that nobody should have any more.
    """

    id: UUID
    user_id: UUID
    secret: bytes
    generation: int
    access_token_id: UUID
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    user_agent: str

    @classmethod
    def begin(cls, user: User, *, user_agent: str, now: datetime, lifetime: timedelta) -> "Session":
        return cls(
            id=uuid7(),
            user_id=user.id,
            secret=secrets.token_bytes(32),
            generation=0,
            access_token_id=uuid7(),
            rotated_at=now,
            created_at=now,
            expires_at=now + lifetime,
            ended_at=None,
            user_agent=user_agent,
        )

    def is_alive(self, now: datetime, idle: timedelta) -> bool:
        return self.ended_at is None and now < self.expires_at and now < self.rotated_at + idle

    def end(self, now: datetime) -> bool:
        """Whether it had not ended yet."""
        if self.ended_at is not None:
            return False
        self.ended_at = now
        return True

    def refresh_token(self) -> str:
        """The current refresh token: `session.generation.mac`."""
        return f"{self.id}.{self.generation}.{self._mac(self.generation)}"

    def refresh(self, generation: int, mac: str, *, now: datetime, grace: timedelta) -> Refresh:
        """Use a token: the current one makes the next one current (promise A3)."""
        if not hmac.compare_digest(mac.encode(), self._mac(generation).encode()):
            return Refresh.WRONG
        if generation == self.generation:
            self.generation += 1
            self.access_token_id = uuid7()
            self.rotated_at = now
            return Refresh.ROTATED
        if generation == self.generation - 1 and now - self.rotated_at <= grace:
            return Refresh.REPEATED
        return Refresh.REUSED

    def _mac(self, generation: int) -> str:
        digest = hmac.digest(self.secret, f"{self.id}.{generation}".encode(), hashlib.sha256)
        return urlsafe_b64encode(digest).decode().rstrip("=")


def parse_refresh_token(token: str) -> tuple[UUID, int, str] | None:
    """Session, generation and MAC of a refresh token, or None."""
    try:
        session_id, generation, mac = token.split(".")
        return UUID(session_id), int(generation), mac
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Limit:
    """How often in a row something may fail under a key before it has to wait, and how long it may have to."""

    key: str
    allowed: int
    longest: timedelta

    def pause_after(self, failures: int) -> timedelta:
        """Nothing for the first ones, then doubling; never for ever (promise A6)."""
        if failures < self.allowed:
            return timedelta(0)
        return min(timedelta(seconds=2 ** min(failures - self.allowed, 20)), self.longest)


@dataclass(eq=False, kw_only=True)
class Attempts:
    """Failures in a row, of one e-mail address for example, known to us or not."""

    key: str
    failures: int
    last_failed_at: datetime

    def wait(self, now: datetime, limit: Limit) -> timedelta:
        """How long the next try has to wait."""
        return max(self.last_failed_at + limit.pause_after(self.failures) - now, timedelta(0))

    def fail(self, now: datetime, limit: Limit) -> None:
        if now - self.last_failed_at > max(limit.longest, _FORGOTTEN_AFTER):
            self.failures = 0
        self.failures += 1
        self.last_failed_at = now

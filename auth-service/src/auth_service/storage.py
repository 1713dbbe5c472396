"""The tables of accounts, sessions, failed log-ins and signing keys, and the queries on them. No decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.columns import Name
from chassis.tables import NAMING
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from .domain import Attempts, Role, Session, User, UserStatus

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("username", String, nullable=False),
    Column("email", String, nullable=False),
    Column("full_name", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("role", Name(Role), nullable=False),
    Column("status", Name(UserStatus), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("uq_users_email", "email", unique=True),
)
Index("uq_users_username", func.lower(users.c.username), unique=True)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("access_token_id", Uuid, nullable=False),
    Column("rotated_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("user_agent", String, nullable=False),
    Index(None, "user_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", DateTime(timezone=True), nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("private_pem", String, nullable=False),
    Column("public", JSONB, nullable=False),
    Column("signs_from", DateTime(timezone=True), nullable=False),
)


@dataclass(eq=False, kw_only=True)
class SigningKey:
    """A key pair: the private half as PEM (PKCS #8), the public one as JWK members."""

    id: str
    private_pem: str
    public: dict[str, Any]
    signs_from: datetime


mapper_registry.map_imperatively(User, users)
mapper_registry.map_imperatively(Session, sessions)
mapper_registry.map_imperatively(Attempts, attempts)
mapper_registry.map_imperatively(SigningKey, signing_keys)


class UserStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, user: User) -> None:
        self._session.add(user)

    async def get(self, user_id: UUID, *, lock: bool = False) -> User | None:
        return await self._session.get(User, user_id, with_for_update=lock or None, populate_existing=lock)

    async def with_email(self, email: str) -> User | None:
        return (await self._session.scalars(select(User).where(users.c.email == email.lower()))).one_or_none()

    async def with_username(self, username: str) -> User | None:
        query = select(User).where(func.lower(users.c.username) == username.lower())
        return (await self._session.scalars(query)).one_or_none()

    async def active_admins(self, *, lock: bool = False) -> Sequence[User]:
        query = select(User).where(users.c.role == Role.ADMIN, users.c.status == UserStatus.ACTIVE).order_by(users.c.id)
        return (await self._session.scalars(query.with_for_update() if lock else query)).all()

    async def list(
        self, *, limit: int, before: UUID | None = None, role: Role | None = None, status: UserStatus | None = None
    ) -> Sequence[User]:
        """The newest first (ids sort by time); those older than the user `before`."""
        query = select(User).order_by(users.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(users.c.id < before)
        if role is not None:
            query = query.where(users.c.role == role)
        if status is not None:
            query = query.where(users.c.status == status)
        return (await self._session.scalars(query)).all()


class SessionStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, session: Session) -> None:
        self._session.add(session)

    async def get_locked(self, session_id: UUID) -> Session | None:
        return await self._session.get(Session, session_id, with_for_update=True, populate_existing=True)

    async def open_of(self, user_id: UUID, now: datetime, *, lock: bool = False) -> Sequence[Session]:
        """Sessions that were neither ended nor have run out, the newest first."""
        query = (
            select(Session)
            .where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
            .order_by(sessions.c.id.desc())
        )
        return (await self._session.scalars(query.with_for_update() if lock else query)).all()


class AttemptStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, key: str) -> Attempts | None:
        return await self._session.get(Attempts, key)

    async def get_locked(self, key: str, now: datetime) -> Attempts:
        """The failures under this key, locked; none so far if there are none."""
        await self._session.execute(
            insert(attempts).values(key=key, failures=0, last_failed_at=now).on_conflict_do_nothing()
        )
        found = await self._session.get(Attempts, key, with_for_update=True, populate_existing=True)
        assert found is not None
        return found

    async def forget(self, keys: Sequence[str]) -> None:
        await self._session.execute(delete(attempts).where(attempts.c.key.in_(keys)))


class KeyStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, key: SigningKey) -> None:
        self._session.add(key)

    async def all(self) -> Sequence[SigningKey]:
        return (await self._session.scalars(select(SigningKey).order_by(signing_keys.c.signs_from))).all()

    async def remove(self, key: SigningKey) -> None:
        await self._session.delete(key)

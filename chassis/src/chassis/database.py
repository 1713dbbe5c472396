"""The service's own PostgreSQL database: engine, transactions, and aggregates locked once for a whole batch."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, inspect, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .problems import Problem
from .settings import ServiceSettings

logger = logging.getLogger(__name__)

EntityT = TypeVar("EntityT")

# SQLSTATE classes (PostgreSQL's appendix A): connection, serialization and deadlocks, resources, operator intervention.
_OUTAGES = ("08", "40", "53", "57")
# Wrong password, unknown role, unknown database.
_NOT_MADE_YET = {"28P01", "28000", "3D000"}
_PATIENCE_SECONDS = 60.0

_current: ContextVar[AsyncSession | None] = ContextVar("current_session", default=None)


class DatabaseAway(Problem):
    status = 503
    code = "database-away"
    title = "The database does not answer"


class Database:
    """Opens transactions. `settings.database_url` is `postgresql://user:password@host:port/database`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.dsn = settings.database_url.get_secret_value()
        self.engine = create_async_engine(
            self.dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_pool_size,
            pool_timeout=5.0,
            connect_args={"timeout": 5.0, "server_settings": {"application_name": settings.service_name}},
        )
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, autoflush=False, info={"source": f"/{settings.service_name}"}
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction; inside `shared()` the one that is open already, so that a use case joins its caller's."""
        joined = _current.get()
        if joined is not None:
            yield joined
            return
        async with self._transaction() as session:
            yield session

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[AsyncSession]:
        """A transaction that every `begin()` called inside the block joins: all of it happens, or nothing."""
        async with self._transaction() as session:
            token = _current.set(session)
            try:
                yield session
            finally:
                _current.reset(token)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except Exception as error:
            if is_outage(error) and not isinstance(error, DatabaseAway):
                raise DatabaseAway("Try again in a moment.", headers={"Retry-After": "1"}) from error
            raise
        for callback in session.info.get("after_commit", ()):
            callback()

    async def migrate(self, package: str) -> None:
        """Bring the schema up to date, waiting for the database as long as it is away (services start in any order).

        A role or a database that is not there may be just about to be made; that is waited for a minute.
        """
        from .migrations import upgrade  # alembic is needed at start only

        pause, patience_ends = 0.1, time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                async with self.engine.begin() as connection:
                    await connection.run_sync(upgrade, package)
                # The PostgreSQL process behind this connection has grown by the whole catalogue: 5 MiB.
                await self.engine.dispose()
                return
            except Exception as error:
                not_made_yet = _sqlstate(error) in _NOT_MADE_YET and time.monotonic() < patience_ends
                if not (is_outage(error) or not_made_yet):
                    raise
                logger.warning("the database is not there yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def check(self) -> str | None:
        """A health check."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            return f"the database does not answer: {type(error).__name__}"
        return None

    async def aclose(self) -> None:
        await self.engine.dispose()


def after_commit(session: AsyncSession, callback: Callable[[], None]) -> None:
    """Call this once the transaction has committed, and not if it hasn't: for counters and wake-ups."""
    session.info.setdefault("after_commit", []).append(callback)


def is_outage(error: BaseException) -> bool:
    """Whether the database (or the way to it) failed, rather than what was asked of it: the same again may succeed."""
    if isinstance(error, DBAPIError):
        return (
            error.connection_invalidated
            or isinstance(error, OperationalError | InterfaceError)
            or _sqlstate(error).startswith(_OUTAGES)
        )
    return isinstance(error, OSError | PoolTimeout | DatabaseAway)


def _sqlstate(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


async def preload(
    session: AsyncSession, entity: type[EntityT], column: ColumnElement[Any], ids: Iterable[Any]
) -> Sequence[EntityT]:
    """Lock and load the entities with these primary keys by one SELECT, in key order (two batches can't deadlock).

    `get_locked` then costs no SQL for any of `ids`. Keep the answer until the transaction ends: the session itself
    holds what it has loaded only weakly.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    found = (await session.scalars(select(entity).where(column.in_(wanted)).order_by(column).with_for_update())).all()
    _asked(session).update((entity, id_) for id_ in wanted)
    return found


async def get_locked(session: AsyncSession, entity: type[EntityT], id_: Any) -> EntityT | None:
    """The entity with this primary key, locked until the transaction ends, or None."""
    if (entity, id_) in _asked(session):
        mapper = inspect(entity)
        key = mapper.identity_key_from_primary_key((id_,))
        # What was added in this transaction and is not flushed yet is not in the map.
        added = (new for new in session.new if isinstance(new, entity))
        known = session.identity_map.get(key)
        return known or next((new for new in added if mapper.identity_key_from_instance(new) == key), None)
    return await session.get(entity, id_, with_for_update=True, populate_existing=True)


def _asked(session: AsyncSession) -> set[tuple[type[Any], Any]]:
    asked: set[tuple[type[Any], Any]] = session.info.setdefault("asked", set())
    return asked

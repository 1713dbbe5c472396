"""Transactions: who joins whom, what happens after the commit, and a database that is away."""

from contextlib import suppress

import pytest
from pydantic import SecretStr
from sqlalchemy import event
from support.demo import Count, Demo, DemoSettings, counts

from chassis.database import Database, DatabaseAway, after_commit, get_locked, is_outage, preload


async def test_what_is_begun_inside_a_shared_transaction_joins_it(demo: Demo) -> None:
    with pytest.raises(ZeroDivisionError):
        await _count_and_fail(demo)
    assert await demo.value("a") == 0

    async with demo.database.shared():
        async with demo.database.begin() as session:
            session.add(Count("a", 1))
        async with demo.database.begin() as session:
            session.add(Count("b", 1))

    assert (await demo.value("a"), await demo.value("b")) == (1, 1)


async def _count_and_fail(demo: Demo) -> None:
    async with demo.database.shared():
        async with demo.database.begin() as session:
            session.add(Count("a", 1))
        raise ZeroDivisionError


async def test_a_callback_is_called_after_the_commit_and_not_after_a_rollback(demo: Demo) -> None:
    called: list[str] = []

    async with demo.database.begin() as session:
        after_commit(session, lambda: called.append("committed"))
        assert called == []
    with suppress(ZeroDivisionError):
        async with demo.database.begin() as session:
            after_commit(session, lambda: called.append("rolled back"))
            raise ZeroDivisionError

    assert called == ["committed"]


async def test_what_was_preloaded_costs_no_more_queries(demo: Demo) -> None:
    async with demo.database.begin() as session:
        session.add(Count("a", 1))
    queries: list[str] = []

    @event.listens_for(demo.database.engine.sync_engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        queries.append(statement)

    async with demo.database.begin() as session:
        kept = await preload(session, Count, counts.c.id, ["a", "b"])
        new = Count("b", 2)
        session.add(new)
        found = [await get_locked(session, Count, id_) for id_ in ("a", "b", "a", "b")]
        assert len(queries) == 1
    event.remove(demo.database.engine.sync_engine, "before_cursor_execute", note)

    assert found == [kept[0], new, kept[0], new]
    assert "FOR UPDATE" in queries[0]


async def test_a_database_that_is_away_is_a_503_and_counts_as_an_outage() -> None:
    settings = DemoSettings(database_url=SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none"))
    database = Database(settings)

    with pytest.raises(DatabaseAway) as away:
        async with database.begin() as session:
            await session.connection()

    assert away.value.status == 503
    assert away.value.headers == {"Retry-After": "1"}
    assert is_outage(away.value)
    assert await database.check() is not None
    await database.aclose()

"""The tables and the queries on them, on real PostgreSQL."""

from chassis.testing.migrations import assert_migrations_match
from chassis.testing.service import ServiceUnderTest

from auth_service.settings import Settings
from auth_service.storage import metadata


async def test_migrations_make_the_tables_that_the_code_believes_in(service: ServiceUnderTest[Settings]) -> None:
    await assert_migrations_match(service.app.state.database, metadata)

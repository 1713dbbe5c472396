"""The tables and the queries on them, on real PostgreSQL."""

import pytest
from chassis.testing.migrations import assert_migrations_match
from chassis.testing.service import ServiceUnderTest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from support.fleet import Fleet

from inventory_service.settings import Settings
from inventory_service.storage import metadata, products


async def test_migrations_make_the_tables_that_the_code_believes_in(service: ServiceUnderTest[Settings]) -> None:
    await assert_migrations_match(service.app.state.database, metadata)


@pytest.mark.parametrize("impossible", [{"on_hand": -1}, {"reserved": -1}, {"reserved": 21}, {"committed": -1}])
async def test_the_database_itself_refuses_stock_that_can_not_be(
    service: ServiceUnderTest[Settings], fleet: Fleet, impossible: dict[str, int]
) -> None:
    product = await fleet.create(on_hand=20)

    with pytest.raises(IntegrityError, match="check constraint"):
        async with service.app.state.database.begin() as session:
            await session.execute(update(products).where(products.c.id == product["id"]).values(impossible))

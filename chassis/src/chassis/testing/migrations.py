"""The assertion that migrations make the tables that the code believes in."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from chassis.database import Database
from chassis.tables import ChassisTable


async def assert_migrations_match(database: Database, metadata: MetaData) -> None:
    """The migrated database has these tables and the chassis', column for column, index for index."""

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        everything = MetaData()
        for part in (metadata, ChassisTable.metadata):
            for table in part.tables.values():
                table.to_metadata(everything)
        return list(compare_metadata(context, everything))

    async with database.engine.connect() as connection:
        found = await connection.run_sync(differences)
    assert found == [], f"the tables and the migrations differ: {found}"

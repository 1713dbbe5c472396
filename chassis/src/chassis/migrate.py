"""Brings a database up to date by hand: `DATABASE_URL=... python -m chassis.migrate order_service`."""

import asyncio
import sys
from typing import ClassVar

from .database import Database
from .settings import ServiceSettings


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "migrate"


async def migrate(package: str) -> None:
    """Run the scripts of this package on the database in DATABASE_URL."""
    database = Database(Settings())
    try:
        await database.migrate(package)
    finally:
        await database.aclose()


if __name__ == "__main__":
    asyncio.run(migrate(sys.argv[1]))

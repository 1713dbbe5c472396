"""What the chassis' tests share: a demo service with a database of its own, and Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio
from pydantic import SecretStr
from support.demo import Demo, DemoSettings

from chassis.database import Database
from chassis.kafka import Kafka
from chassis.testing.infra import Infra


@pytest_asyncio.fixture(loop_scope="session")
async def settings(infra: Infra, database_url: str) -> DemoSettings:
    return DemoSettings(database_url=SecretStr(database_url), kafka_bootstrap=infra.kafka_bootstrap)


@asynccontextmanager
async def migrated(settings: DemoSettings) -> AsyncIterator[Database]:
    database = Database(settings)
    await database.migrate("support.demo")
    try:
        yield database
    finally:
        await database.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def demo(settings: DemoSettings) -> AsyncIterator[Demo]:
    async with migrated(settings) as database:
        yield Demo(database)


@pytest_asyncio.fixture(loop_scope="session")
async def kafka(settings: DemoSettings) -> AsyncIterator[Kafka]:
    kafka = Kafka(settings)
    yield kafka
    await kafka.aclose()

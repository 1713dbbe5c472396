"""The service as its tests see it: on a real socket, over a real database and a real broker."""

from collections.abc import AsyncIterator

import pytest_asyncio
from chassis.testing.infra import Infra
from chassis.testing.service import ServiceUnderTest, service_under_test
from support.fleet import Fleet

from inventory_service.app import create_app
from inventory_service.settings import Settings

TOPICS = ("order-events", "inventory-events", "payment-events", "order-events-dlt")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(infra: Infra) -> AsyncIterator[ServiceUnderTest[Settings]]:
    async with service_under_test(create_app, Settings, infra, topics=TOPICS, expiry_poll_seconds=0.05) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(service: ServiceUnderTest[Settings]) -> Fleet:
    return Fleet(service)

"""The service as its tests see it: on a real socket, over a real database and a real broker."""

from collections.abc import AsyncIterator

import pytest_asyncio
from chassis.testing.infra import Infra
from chassis.testing.service import ServiceUnderTest, service_under_test
from pydantic import SecretStr
from support.people import ADMIN_EMAIL, ADMIN_PASSWORD, People

from auth_service.app import create_app
from auth_service.settings import Settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(infra: Infra) -> AsyncIterator[ServiceUnderTest[Settings]]:
    async with service_under_test(
        create_app,
        Settings,
        infra,
        topics=["auth-events"],
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(ADMIN_PASSWORD),
        failures_before_lock=3,
    ) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def people(service: ServiceUnderTest[Settings]) -> People:
    return People(service)

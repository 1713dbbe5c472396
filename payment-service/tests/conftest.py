"""The service as its tests see it: over a real socket, database, broker and sandbox provider."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from chassis.testing.infra import Infra
from chassis.testing.server import running
from chassis.testing.service import ServiceUnderTest, service_under_test
from fastapi import FastAPI
from pydantic import SecretStr
from support.faults import FaultyProvider
from support.fleet import Fleet

from payment_service.app import create_app
from payment_service.sandbox import app as sandbox_app
from payment_service.sandbox.settings import Settings as SandboxSettings
from payment_service.settings import Settings

TOPICS = ("order-events", "inventory-events", "payment-events")
SECRET = "the-secret-of-webhooks"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    settings = SandboxSettings(
        data=tmp_path_factory.mktemp("sandbox"), webhook_secret=SecretStr(SECRET), slow_seconds=0.3
    )
    async with running(sandbox_app.create_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(infra: Infra, sandbox: httpx.AsyncClient) -> AsyncIterator[ServiceUnderTest[Settings]]:
    def create(settings: Settings) -> FastAPI:
        return create_app(settings, FaultyProvider(settings))

    async with service_under_test(
        create,
        Settings,
        infra,
        topics=TOPICS,
        provider_url=str(sandbox.base_url),
        provider_timeout_seconds=0.5,
        webhook_secret=SECRET,
        poll_seconds=0.05,
        retry_pause_seconds=0.02,
        longest_retry_pause_seconds=0.1,
        answer_poll_seconds=60.0,
    ) as service:
        service.settings.public_url = str(service.client.base_url)
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(service: ServiceUnderTest[Settings], sandbox: httpx.AsyncClient) -> Fleet:
    return Fleet(service, sandbox, service.app.state.provider)

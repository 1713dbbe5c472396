"""One service under test: on a real socket, with a database of its own, a broker, and somebody to sign tokens."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.settings import ServiceSettings

from .events import Neighbours, TopicListener, listening, neighbours
from .infra import Infra, fresh_database
from .server import running
from .tokens import TokenMaker, published_keys
from .waiting import until

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class ServiceUnderTest(Generic[SettingsT]):
    """`client` speaks to it, `neighbours` say events to it, `said` is what it says, `tokens` are good for it."""

    app: FastAPI
    settings: SettingsT
    client: httpx.AsyncClient
    tokens: TokenMaker
    neighbours: Neighbours
    said: TopicListener


@asynccontextmanager
async def service_under_test(
    create_app: Callable[[SettingsT], FastAPI],
    settings_type: type[SettingsT],
    infra: Infra,
    *,
    topics: Iterable[str],
    **settings: Any,
) -> AsyncIterator[ServiceUnderTest[SettingsT]]:
    """Run the service against a new database. `topics` are those it says to or hears; `settings` are its fields."""
    topics = list(topics)
    async with fresh_database(infra) as database_url, published_keys() as tokens:
        known = settings_type(
            database_url=SecretStr(database_url),
            kafka_bootstrap=infra.kafka_bootstrap,
            jwks_url=tokens.jwks_url,
            **settings,
        )
        async with listening(known, topics) as said, neighbours(known, topics) as others:
            app = create_app(known)
            async with running(app) as url, httpx.AsyncClient(base_url=url, verify=False, trust_env=False) as client:  # noqa: S501 - no TLS is spoken

                async def is_ready() -> bool:
                    return (await client.get("/actuator/health/readiness")).status_code == 200

                await until(is_ready)
                yield ServiceUnderTest(app, known, client, tokens, others, said)

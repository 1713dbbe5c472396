"""What a service with a database and events is put together from; its `app.py` names the rest."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from .database import Database
from .discovery import Registry
from .health import Health
from .housekeeping import Housekeeping
from .kafka import Kafka
from .messages import Event, topics_of
from .outbox import Relay
from .published_keys import published_at
from .reactions import Reactions
from .reader import Reader
from .revocations import RevocationListener
from .security import FetchKeys, KeySet, Security
from .settings import ServiceSettings
from .supervisor import Supervisor

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 2.0


class Parts:
    """The parts, made but not started; `lifespan` starts and stops them in their order.

    `package` has the migrations, `says` are the events that it publishes; `fetch_keys` takes the place of
    `settings.jwks_url` for the service that signs the tokens itself.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        package: str,
        says: Iterable[type[Event]],
        fetch_keys: FetchKeys | None = None,
    ) -> None:
        self._settings = settings
        self._package = package
        self._topics = topics_of(says)
        self.database = Database(settings)
        self.kafka = Kafka(settings)
        self.health = Health()
        self.supervisor = Supervisor()
        self.registry = Registry(settings) if settings.discovery_url else None
        self.security = Security(
            # Own keys cost nothing to look up again.
            KeySet(fetch_keys, cool_down_seconds=0) if fetch_keys else KeySet(published_at(settings, self.registry)),
            issuer=settings.token_issuer,
            audience=settings.token_audience,
        )
        self.relay = Relay(self.database, self.kafka)
        self._preparations: list[Callable[[], Awaitable[None]]] = []
        self._tasks: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self.health.ready_while("database", self.database.check)
        self.health.live_while("tasks", self.supervisor.check)

    def hear(self, reactions: Reactions) -> Reader:
        """Read the topics of these reactions, in the consumer group named as the service; nothing without Kafka."""
        reader = Reader(self.database, self.kafka, reactions, group=self._settings.service_name)
        if self._settings.kafka_bootstrap:
            self.run("reader", reader.run)
        return reader

    def prepare(self, preparation: Callable[[], Awaitable[None]]) -> None:
        """Something to be done once the schema is up to date and before anything is served."""
        self._preparations.append(preparation)

    def run(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """A supervised task, from when the service starts until it stops."""
        self._tasks.append((name, task))

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        """FastAPI's lifespan: migrate, then start what runs beside HTTP; at the end stop it, the relay last."""
        app.state.database = self.database
        await self.database.migrate(self._package)
        for preparation in self._preparations:
            await preparation()
        if self.registry is not None:
            self.supervisor.start("discovery", self.registry.run)
        self.supervisor.start("keys", self.security.keys.fetch_first)
        if self._settings.kafka_bootstrap:
            revocations = RevocationListener(self._settings, self.kafka, self.security.revoked)
            self.supervisor.start("revocations", revocations.run)
            self.supervisor.start("relay", self._relay)
        else:
            logger.warning("KAFKA_BOOTSTRAP is not set: events are kept in the outbox and none is heard")
        self.supervisor.start("housekeeping", Housekeeping(self.database).run)
        for name, task in self._tasks:
            self.supervisor.start(name, task)
        try:
            yield {}
        finally:
            await self.supervisor.stop(*(name for name, _ in reversed(self._tasks)))
            if self._settings.kafka_bootstrap and not await self.relay.flush(_FLUSH_SECONDS):
                logger.warning("stopping with events in the outbox; the next start tells them")
            await self.supervisor.stop()
            await self.kafka.aclose()
            await self.database.aclose()

    async def _relay(self) -> None:
        await self.kafka.ensure_topics(self._topics)
        await self.relay.run()

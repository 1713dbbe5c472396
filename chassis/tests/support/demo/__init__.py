"""A service as small as one can be: bumps that are counted by key, and told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from pydantic_settings import SettingsConfigDict
from sqlalchemy import Column, Integer, MetaData, String, Table
from sqlalchemy.orm import registry

from chassis.database import Database, after_commit, get_locked, preload
from chassis.messages import Event
from chassis.outbox import publish
from chassis.problems import Problem
from chassis.settings import ServiceSettings
from chassis.tables import NAMING

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)
counts = Table("counts", metadata, Column("id", String, primary_key=True), Column("value", Integer, nullable=False))


@dataclass(eq=False)
class Count:
    id: str
    value: int


mapper_registry.map_imperatively(Count, counts)


class DemoSettings(ServiceSettings):
    service_name: ClassVar[str] = "demo-service"

    model_config = SettingsConfigDict(env_prefix="DEMO_")


class Demo:
    """Its events live on topics of its own, so that tests which share a broker don't hear each other."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.topic = f"demo-{uuid4().hex[:12]}"
        topic = self.topic
        self.handled: list[tuple[str, int]] = []
        self.failures: dict[int, list[Exception]] = {}

        class Bumped(Event):
            key: str
            number: int

        class Counted(Event):
            key: str
            value: int

        Bumped.topic, Bumped.type = topic, "demo.bumped.v1"
        Counted.topic, Counted.type = f"{topic}-counted", "demo.counted.v1"
        self.bumped, self.counted = Bumped, Counted

        async def on_bumped(event: Bumped, demo: "Demo") -> None:
            await demo.bump(event.key, event.number)

        on_bumped.__annotations__["event"] = Bumped
        self.reactions = (on_bumped,)

    async def bump(self, key: str, number: int) -> None:
        """Count one more; fails as often as `failures` has something for this number."""
        async with self.database.begin() as session:
            count = await get_locked(session, Count, key)
            if count is None:
                count = Count(key, 0)
                session.add(count)
            count.value += 1
            publish(session, self.counted(key=key, value=count.value), key=key)
            if self.failures.get(number):
                raise self.failures[number].pop(0)
            after_commit(session, lambda: self.handled.append((key, number)))

    async def preload(self, events: Sequence[Any]) -> object:
        async with self.database.begin() as session:
            return await preload(session, Count, counts.c.id, [event.key for event in events])

    async def value(self, key: str) -> int:
        async with self.database.begin() as session:
            count = await session.get(Count, key)
            return count.value if count else 0


class NotToday(Problem):
    status = 409
    code = "not-today"
    title = "Not today"

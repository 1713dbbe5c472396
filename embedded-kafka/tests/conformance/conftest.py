"""The broker under test, the two clients, and topics and groups that are gone afterwards.

Without anything in the environment the tests start an embedded broker of their own. CONFORMANCE_BOOTSTRAP names another
one, which others may use at the same time. `make conformance-kafka` at the top starts Apache Kafka for it, with

    group.min.session.timeout.ms=500        a crashed member is found before a test gives up
    log.retention.check.interval.ms=200     retention comes round, which by default is every five minutes,
    log.initial.task.delay.ms=100           and for the first time after 30 s
    auto.create.topics.enable=false         a typing error stays an error
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest
from support.waiting import until

from .aiokafka_client import AiokafkaClient
from .client import Client, Member
from .confluent_client import ConfluentClient
from .names import NONE, fresh_name
from .raw import RawClient

NAMES = ("aiokafka", "confluent")


class NewTopic(Protocol):
    async def __call__(self, partitions: int = 1, **configs: str) -> str:
        """A new topic's name. A config's underscores stand for the dots of its name.

        Without a word about retention.ms its records are kept for ever: those of many tests are of 1970.
        """


Connect = Callable[[], Awaitable[RawClient]]


class Join(Protocol):
    async def __call__(self, client: Client, group: str, *topics: str, strategy: str = "range") -> Member: ...


@pytest.fixture(scope="session")
async def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    named = os.environ.get("CONFORMANCE_BOOTSTRAP")
    if named:
        await until_groups_can_be_had(named)
        yield named
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("embedded_broker.py")),
        str(tmp_path_factory.mktemp("conformance")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(10):
            bootstrap = (await process.stdout.readline()).decode().strip()
        assert bootstrap, "the embedded broker did not start"
        await until_groups_can_be_had(bootstrap)
        yield bootstrap
    finally:
        process.terminate()
        await process.wait()


async def until_groups_can_be_had(bootstrap: str) -> None:
    """A broker that has never seen a group may have to make a place for their offsets first."""
    raw = await RawClient.connect(bootstrap)

    async def coordinated(group: str) -> bool:
        try:
            return await raw.find_coordinator(group) == NONE and not await raw.committed(group, None)
        except AssertionError:
            return False

    for _ in range(20):
        group = fresh_name("group")
        await until(lambda group=group: coordinated(group), 60)  # type: ignore[misc] # mypy cannot infer its default
    await raw.close()


@pytest.fixture(scope="session")
async def clients(bootstrap: str) -> AsyncIterator[dict[str, Client]]:
    clients: dict[str, Client] = {"aiokafka": AiokafkaClient(bootstrap), "confluent": ConfluentClient(bootstrap)}
    for client in clients.values():
        await client.start()
    yield clients
    for client in clients.values():
        await client.stop()


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, clients: dict[str, Client]) -> Client:
    return clients[request.param]


@pytest.fixture
def other(client: Client, clients: dict[str, Client]) -> Client:
    """The client that `client` is not."""
    return clients[NAMES[1 - NAMES.index(client.name)]]


@pytest.fixture
async def connect(bootstrap: str) -> AsyncIterator[Connect]:
    """Further raw connections."""
    opened: list[RawClient] = []

    async def connected() -> RawClient:
        opened.append(await RawClient.connect(bootstrap))
        return opened[-1]

    yield connected
    for each in opened:
        await each.close()


@pytest.fixture
async def raw(connect: Connect) -> RawClient:
    return await connect()


@pytest.fixture
async def new_topic(bootstrap: str) -> AsyncIterator[NewTopic]:
    raw = await RawClient.connect(bootstrap)
    names: list[str] = []

    async def made(partitions: int = 1, **configs: str) -> str:
        name = fresh_name("topic")
        given = {"retention.ms": "-1"} | {key.replace("_", "."): value for key, value in configs.items()}
        assert await raw.create_topic(name, partitions, given) == NONE
        names.append(name)

        async def is_there() -> bool:
            """Metadata may tell of a leader before that knows of it."""
            if await raw.topic_metadata(name) != (NONE, partitions):
                return False
            fetched = await raw.fetch_all(name, dict.fromkeys(range(partitions), 0))
            return {each.error for each in fetched.values()} == {NONE}

        await until(is_there)
        return name

    yield made
    if names:
        await raw.delete_topics(*names)
    await raw.close()


@pytest.fixture
async def topic(new_topic: NewTopic) -> str:
    """One partition, no configs."""
    return await new_topic()


@pytest.fixture
async def group(bootstrap: str) -> AsyncIterator[str]:
    async with gone_afterwards(bootstrap, fresh_name("group")) as name:
        yield name


@pytest.fixture
async def another_group(bootstrap: str) -> AsyncIterator[str]:
    async with gone_afterwards(bootstrap, fresh_name("group")) as name:
        yield name


@asynccontextmanager
async def gone_afterwards(bootstrap: str, group: str) -> AsyncIterator[str]:
    yield group
    raw = await RawClient.connect(bootstrap)
    await raw.delete_group(group)
    await raw.close()


@pytest.fixture
async def join(new_topic: NewTopic, group: str, another_group: str) -> AsyncIterator[Join]:
    """Starts members of groups, which leave before the topics and groups go."""
    members: list[Member] = []

    async def joined(client: Client, group: str, *topics: str, strategy: str = "range") -> Member:
        members.append(await client.member(group, *topics, strategy=strategy))
        return members[-1]

    yield joined
    for member in members:
        await member.leave()

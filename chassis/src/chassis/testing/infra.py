"""The one place where tests find PostgreSQL and Kafka: at given addresses, in containers, or run by ourselves.

`pytest_plugins = ["chassis.testing.infra"]` in a conftest.py gives the fixtures `infra`, `database_url` and `broker`.

- `TEST_DATABASE_URL` (an administrator's) and `TEST_KAFKA_BOOTSTRAP`: what runs there is used, each for itself.
- `FLEET_TEST_INFRA=containers`: testcontainers, for what has no address.
- else: a real PostgreSQL and the embedded broker, or Apache Kafka with `BROKER=kafka`; gone with the test run, however
  that ends (Linux: also by SIGKILL).
"""

import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from chassis.local_postgres import LocalPostgres

from .broker import BrokerProcess, broker_in

_POSTGRES_IMAGE = "postgres:17"
_KAFKA_IMAGE = "apache/kafka:4.1.2"


@dataclass(frozen=True, slots=True)
class Infra:
    postgres_url: str
    """`postgresql://...`, of a role that may make databases."""
    kafka_bootstrap: str
    """`host:port`"""


@pytest.fixture(scope="session")
def infra() -> Iterator[Infra]:
    """PostgreSQL and Kafka for the whole test run. Tests share them: take an own database, and topics of own names."""
    with ExitStack() as stack:
        postgres_url, kafka_bootstrap = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_KAFKA_BOOTSTRAP")
        if os.environ.get("FLEET_TEST_INFRA") == "containers":
            if not (postgres_url and kafka_bootstrap):
                _require_docker()
            postgres_url = postgres_url or stack.enter_context(_postgres_container())
            kafka_bootstrap = kafka_bootstrap or stack.enter_context(_kafka_container())
        else:
            # The broker is begun first and waited for last, so that both take no longer than the slower one.
            own_broker = None if kafka_bootstrap else stack.enter_context(_broker_in_temporary_folder())
            postgres_url = postgres_url or stack.enter_context(_local_postgres())
            if own_broker is not None:
                own_broker.wait_until_ready()
                kafka_bootstrap = own_broker.bootstrap
        assert kafka_bootstrap is not None
        yield Infra(_without_driver(postgres_url), kafka_bootstrap)


@asynccontextmanager
async def fresh_database(infra: Infra) -> AsyncIterator[str]:
    """The URL of a new, empty database, which is dropped afterwards whoever is still connected to it."""
    name = f"test_{secrets.token_hex(8)}"
    await _administrate(infra, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(infra.postgres_url)._replace(path=f"/{name}"))
    finally:
        await _administrate(infra, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(loop_scope="session")
async def database_url(infra: Infra) -> AsyncIterator[str]:
    """A new, empty database for one test."""
    async with fresh_database(infra) as url:
        yield url


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    """A broker for one test alone, which may stop, kill and start it again."""
    with _broker_in_temporary_folder() as own:
        own.wait_until_ready()
        yield own


async def _administrate(infra: Infra, statement: str) -> None:
    connection = await asyncpg.connect(infra.postgres_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _without_driver(url: str) -> str:
    """`postgresql+asyncpg://...` as people have it for SQLAlchemy, too."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


@contextmanager
def _local_postgres() -> Iterator[str]:
    with _temporary_folder() as folder:
        postgres = LocalPostgres(folder / "data", durable=False, die_with_parent=True)
        postgres.start()
        try:
            yield postgres.url()
        finally:
            postgres.stop()


@contextmanager
def _broker_in_temporary_folder() -> Iterator[BrokerProcess]:
    with _temporary_folder() as folder:
        own = broker_in(folder)
        own.begin()
        try:
            yield own
        finally:
            own.kill()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is removed afterwards: by a later test run where this one is killed."""
    beginning = "flotilla-tests-"
    for left in Path(tempfile.gettempdir()).glob(f"{beginning}*"):
        owner = left.name.removeprefix(beginning).partition("-")[0]
        if owner.isdigit() and left.stat().st_uid == os.geteuid() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{beginning}{os.getpid()}-"))
    try:
        yield folder
    finally:
        if (elsewhere := folder / "data").is_symlink():  # see LocalPostgres: where another user has to run it
            shutil.rmtree(elsewhere.resolve().parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _require_docker() -> None:
    # Imported where containers are asked for: most test runs need none of it.
    from testcontainers.core.docker_client import DockerClient

    try:
        DockerClient().client.ping()
    except Exception as error:  # docker's own, or of what it was made from: there are many ways not to answer
        pytest.fail(
            f"FLEET_TEST_INFRA=containers needs a Docker engine, and none answers ({error}). Start one, or give "
            "TEST_DATABASE_URL and TEST_KAFKA_BOOTSTRAP, or unset FLEET_TEST_INFRA to run without containers.",
            pytrace=False,
        )


@contextmanager
def _postgres_container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(_POSTGRES_IMAGE, driver=None).with_command("-c fsync=off -c max_connections=200") as running:
        yield str(running.get_connection_url())


@contextmanager
def _kafka_container() -> Iterator[str]:
    # testcontainers' own KafkaContainer starts Confluent's image by scripts that Apache's does not have.
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = _free_port()  # known beforehand, since the broker has to advertise it
    container = DockerContainer(_KAFKA_IMAGE).with_bind_ports(9092, port)
    address = f"{container.get_docker_client().host()}:{port}"
    for name, value in {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://{address}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
    }.items():
        container = container.with_env(f"KAFKA_{name}", value)
    started = LogMessageWaitStrategy(re.compile(r".*Kafka Server started.*")).with_startup_timeout(60)
    with container.waiting_for(started):
        yield address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

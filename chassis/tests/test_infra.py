"""The fixtures that find PostgreSQL and Kafka, in pytest runs of their own where it matters how those end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.testing.broker import BrokerProcess
from chassis.testing.infra import Infra, fresh_database
from chassis.testing.waiting import wait_until


async def test_a_fresh_database_is_empty_and_gone_afterwards_although_somebody_is_connected(infra: Infra) -> None:
    async with fresh_database(infra) as url:
        left_open = await asyncpg.connect(url)
        assert await left_open.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await left_open.execute("CREATE TABLE placed (id int)")

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    left_open.terminate()


async def test_two_databases_do_not_see_each_other(infra: Infra, database_url: str) -> None:
    one = await asyncpg.connect(database_url)
    await one.execute("CREATE TABLE placed (id int)")

    async with fresh_database(infra) as url:
        other = await asyncpg.connect(url)
        assert await other.fetchval("SELECT to_regclass('placed')") is None
        await other.close()

    await one.close()


async def test_the_broker_takes_records(infra: Infra) -> None:
    await _make_topic(infra.kafka_bootstrap, "infra-takes-records")

    await _say(infra.kafka_bootstrap, "infra-takes-records", b"hello")

    assert await _hear(infra.kafka_bootstrap, "infra-takes-records") == b"hello"


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_broker_of_ones_own_comes_back_at_its_address_with_its_records(broker: BrokerProcess, how: str) -> None:
    address = broker.bootstrap
    await _make_topic(address, "kept")
    await _say(address, "kept", b"before")

    getattr(broker, how)()
    broker.start()

    assert broker.bootstrap == address
    assert await _hear(address, "kept") == b"before"


_A_TEST = """\
import os, time

def test_it(infra):
    print(f"INFRA {infra.postgres_url} {infra.kafka_bootstrap}", flush=True)
    if os.environ.get("STAY"):
        time.sleep(60)
"""


def _run_of_its_own(folder: Path, **environment: str) -> subprocess.Popen[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["chassis.testing.infra"]')
    (folder / "test_it.py").write_text(_A_TEST)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_addresses_in_the_environment_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    run = _run_of_its_own(
        tmp_path, TEST_DATABASE_URL="postgresql+asyncpg://me:pw@db.example/all", TEST_KAFKA_BOOTSTRAP="kafka.example:9"
    )

    told, _ = run.communicate(timeout=30)

    assert "INFRA postgresql://me:pw@db.example/all kafka.example:9" in told


def test_each_address_counts_for_itself(tmp_path: Path) -> None:
    run = _run_of_its_own(tmp_path, TEST_DATABASE_URL="postgresql://me:pw@db.example/all")

    told, _ = run.communicate(timeout=30)

    assert re.search(r"INFRA postgresql://me:pw@db.example/all 127\.0\.0\.1:\d+", told)


def test_containers_without_a_docker_engine_fail_with_a_sentence(tmp_path: Path) -> None:
    run = _run_of_its_own(tmp_path, FLEET_TEST_INFRA="containers", DOCKER_HOST="tcp://127.0.0.1:1")

    told, _ = run.communicate(timeout=30)

    assert run.returncode == 1
    assert "FLEET_TEST_INFRA=containers needs a Docker engine, and none answers" in told
    assert "INFRA postgresql" not in told


def test_a_killed_test_run_leaves_no_process_and_the_next_one_its_folders_removed(tmp_path: Path) -> None:
    run = _run_of_its_own(tmp_path, STAY="1", TMPDIR=str(tmp_path))
    assert run.stdout is not None
    assert any("INFRA" in line for line in run.stdout)
    mark = f"flotilla-tests-{run.pid}-".encode()
    assert len(_processes_that_mention(mark)) >= 2
    assert len([*tmp_path.glob(f"{mark.decode()}*")]) == 2

    run.kill()
    run.communicate()

    wait_until(lambda: not _processes_that_mention(mark), "nothing of it is there any more")
    _run_of_its_own(tmp_path, TMPDIR=str(tmp_path)).communicate(timeout=30)
    assert not [*tmp_path.glob("flotilla-tests-*")]


def _processes_that_mention(mark: bytes) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()


async def _say(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait(topic, value)
    await producer.stop()


async def _hear(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    return bytes(record.value or b"")

"""LocalKafka with Apache Kafka itself. Not among `make test`'s, as it needs Java and Maven: `make -C .. test-kafka`."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.local_kafka import LocalKafka
from chassis.testing.waiting import wait_until

SECONDS = 60.0
"""For a start on a busy machine."""


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    broker = LocalKafka(tmp_path / "Kafka für alle 卡夫卡", die_with_parent=True)
    broker.start()
    yield broker
    broker.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_started_again_it_has_its_topics_records_and_offsets(kafka: LocalKafka, how: str) -> None:
    await _make_topic(kafka.bootstrap, "kept")
    await _say(kafka.bootstrap, "kept", b"one", b"two")
    assert await _hear_one_and_commit(kafka.bootstrap, "kept") == b"one"

    getattr(kafka, how)()
    kafka.start()

    assert await _hear_one_and_commit(kafka.bootstrap, "kept") == b"two"


async def test_a_topic_is_not_made_by_its_name_alone(kafka: LocalKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()

    await admin.describe_topics(["misspelt"])

    assert "misspelt" not in await admin.list_topics()
    await admin.close()


def test_as_a_command_it_says_when_it_is_ready_and_ends_when_told(tmp_path: Path) -> None:
    with _begin("--data", str(tmp_path / "kafka")) as command:
        ready = _READY.fullmatch(_line_of(command))
        assert ready is not None

        command.terminate()

        assert command.wait(SECONDS) == 0
    assert not Path("/proc", ready["pid"]).exists()


def test_killed_it_takes_the_broker_along(tmp_path: Path) -> None:
    with _begin("--data", str(tmp_path / "kafka")) as command:
        ready = _READY.fullmatch(_line_of(command))
        assert ready is not None

        command.kill()

    wait_until(lambda: not Path("/proc", ready["pid"]).exists(), "the broker has ended")
    LocalKafka(tmp_path / "kafka").make_files()  # nobody holds the folder


def test_a_broker_that_dies_ends_the_command_with_a_sentence(tmp_path: Path) -> None:
    with _begin("--data", str(tmp_path / "kafka")) as command:
        ready = _READY.fullmatch(_line_of(command))
        assert ready is not None

        os.kill(int(ready["pid"]), signal.SIGKILL)
        _, complaint = command.communicate(timeout=SECONDS)

    assert complaint.startswith("local_kafka: Apache Kafka has ended by itself: ")
    assert command.returncode == 1


def test_a_command_that_runs_with_it_is_ended_with_it() -> None:
    with _begin("--address-in", "KAFKA", "--", "sh", "-c", "echo $KAFKA; exec sleep 60") as running:
        assert re.fullmatch(r"127\.0\.0\.1:\d+\n", _line_of(running))

        running.terminate()

        assert running.wait(SECONDS) == 128 + signal.SIGTERM


_READY = re.compile(r"ready bootstrap=127\.0\.0\.1:\d+ pid=(?P<pid>\d+) version=[\d.]+ seconds=\d+\.\d\n")


def _begin(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "chassis.local_kafka", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _line_of(command: "subprocess.Popen[str]") -> str:
    assert command.stdout is not None
    return command.stdout.readline()


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()


async def _say(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for value in values:
        await producer.send_and_wait(topic, value)
    await producer.stop()


async def _hear_one_and_commit(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id="hearers", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.commit({next(iter(consumer.assignment())): record.offset + 1})
    await consumer.stop()
    return bytes(record.value or b"")

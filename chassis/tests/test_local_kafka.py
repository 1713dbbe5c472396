"""LocalKafka and its command, with a program in the place of Java; real_kafka.py does the same to Apache Kafka."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_java import JAVA, MAVEN, install

from chassis.local_kafka import LocalKafka


@pytest.fixture(autouse=True)
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("FLOTILLA_KAFKA_CACHE", str(tmp_path / "cache"))
    install("mvn", MAVEN, tmp_path / "bin")
    return install("java", JAVA, tmp_path / "bin")


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    broker = LocalKafka(tmp_path / "kafka", die_with_parent=True)
    yield broker
    broker.kill()


def settings_of(kafka: LocalKafka) -> dict[str, str]:
    lines = (kafka.folder / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


class TestLocalKafka:
    def test_it_listens_where_bootstrap_says_and_on_loopback_alone(self, kafka: LocalKafka) -> None:
        kafka.start()

        listeners = settings_of(kafka)["listeners"]
        assert listeners.startswith(f"PLAINTEXT://{kafka.bootstrap},CONTROLLER://127.0.0.1:")
        assert kafka.bootstrap == f"127.0.0.1:{kafka.port}"

    def test_the_port_is_the_same_after_each_start(self, kafka: LocalKafka) -> None:
        kafka.start()
        before = kafka.bootstrap

        kafka.kill()
        kafka.start()

        assert kafka.bootstrap == before

    def test_settings_that_are_given_come_before_its_own(self, tmp_path: Path) -> None:
        kafka = LocalKafka(tmp_path / "kafka", settings={"auto.create.topics.enable": "true"}, die_with_parent=True)
        kafka.start()
        kafka.stop()

        assert settings_of(kafka)["auto.create.topics.enable"] == "true"

    def test_a_second_one_in_the_same_folder_is_refused_with_the_first_ones_pid(self, kafka: LocalKafka) -> None:
        running = kafka.begin()
        second = LocalKafka(kafka.folder)

        with pytest.raises(OSError, match=f"runs in .* already \\(pid {running.pid}\\)"):
            second.start()

        second.stop()
        assert running.poll() is None

    def test_a_port_in_use_is_a_sentence(self, tmp_path: Path) -> None:
        with socket.socket() as occupant:
            occupant.bind(("127.0.0.1", 0))
            occupant.listen()
            port = occupant.getsockname()[1]

            with pytest.raises(OSError, match=f"can't listen on port {port}: Address already in use"):
                LocalKafka(tmp_path / "kafka", port).start()

    def test_a_broker_that_ends_is_told_with_its_errors_and_not_where_in_the_code(self, tmp_path: Path) -> None:
        kafka = LocalKafka(tmp_path / "kafka", settings={"no.such.setting": "1"})

        with pytest.raises(OSError, match=r"Apache Kafka does not start: .*there is no such setting$") as failure:
            kafka.start()

        assert "\n" not in str(failure.value)

    def test_a_folder_with_a_comma_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="it would take it for two folders"):
            LocalKafka(tmp_path / "one,two").start()

    def test_files_that_can_not_be_made_are_a_sentence_and_made_at_the_next_start(
        self, kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORMAT_EXITS_WITH", "1")
        with pytest.raises(OSError, match="can't make its files in"):
            kafka.start()
        monkeypatch.delenv("FORMAT_EXITS_WITH")

        kafka.start()

        assert Path(settings_of(kafka)["log.dirs"]).is_dir()


class TestCommand:
    def test_a_command_finds_the_broker_and_its_exit_code_is_the_result(self) -> None:
        done = _run("--address-in", "KAFKA", "--", "sh", "-c", "echo at $KAFKA; exit 3")

        assert done.stdout.startswith("at 127.0.0.1:")
        assert done.returncode == 3

    def test_what_is_set_reaches_the_broker_and_a_broker_that_does_not_start_is_a_sentence(self) -> None:
        done = _run("--set", "no.such.setting=1", "--address-in", "KAFKA", "--", "echo", "never")

        assert done.stdout == ""
        assert done.stderr.startswith("local_kafka: Apache Kafka does not start: ")
        assert done.returncode == 1

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--set", "no-value"), "'no-value' is not KEY=VALUE"),
            (("--port", "65536"), "'65536' is no port"),
            (("--address-in", "KAFKA"), "--address-in and a command go together"),
            (("--", "echo"), "--address-in and a command go together"),
        ],
    )
    def test_what_can_not_be_is_refused(self, arguments: tuple[str, ...], complaint: str) -> None:
        done = _run(*arguments)

        assert complaint in done.stderr
        assert done.returncode == 2


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "chassis.local_kafka", *arguments]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=30, check=False)

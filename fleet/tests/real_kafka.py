"""The fleet on Apache Kafka itself. Not among `make test`'s, as it needs Java and Maven: `make -C .. test-kafka`."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chassis.testing.waiting import wait_until
from support.command import fleet
from support.fleets import processes_of

from fleet.report import ProcessReport, Report
from fleet.state import Home

_CONFIG_FILES = Path(__file__).parents[2] / "config-files"
_SECONDS = 60.0
"""For a start on a busy machine."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    shutil.copytree(_CONFIG_FILES, tmp_path / "config-files")
    project = Home(tmp_path)
    yield project
    fleet(project.project, "down")


def _kafka(home: Home) -> ProcessReport:
    report = Report.read(home)
    assert report is not None
    return next(process for process in report.processes if process.name == "kafka")


def test_orders_go_through_also_after_kafka_was_killed_and_after_the_next_start(home: Home) -> None:
    started = fleet(home.project, "up", "--demo", BROKER="kafka")
    assert started.returncode == 0, started.stderr
    assert ", with Apache Kafka." in started.stdout
    killed = _kafka(home).pid
    assert killed is not None
    assert Path(f"/proc/{killed}/exe").resolve().name == "java"

    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: _kafka(home).pid not in (None, killed), "it is started again", seconds=_SECONDS)
    assert fleet(home.project, "demo").returncode == 0
    assert _kafka(home).restarts == 1
    assert "Kafka Server started" in fleet(home.project, "logs", "kafka").stdout

    assert fleet(home.project, "down").returncode == 0
    assert processes_of(home) == []

    again = fleet(home.project, "up", "--demo")
    assert again.returncode == 0, again.stderr
    assert ", with Apache Kafka." in again.stdout


def test_a_fleet_that_changes_its_broker_goes_on_with_an_empty_one_and_back(home: Home) -> None:
    for broker in ("embedded", "kafka", "embedded"):
        started = fleet(home.project, "up", "--demo", BROKER=broker)

        assert started.returncode == 0, started.stderr
        assert (", with Apache Kafka." in started.stdout) == (broker == "kafka")
        assert fleet(home.project, "down").returncode == 0

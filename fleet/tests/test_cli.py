"""The commands, with the whole of the real fleet."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from chassis.testing.waiting import wait_until
from support.command import begin_fleet, fleet
from support.fleets import processes_of

from fleet.plan import NAMES
from fleet.report import Report
from fleet.state import Home, read_json

_CONFIG_FILES = Path(__file__).parents[2] / "config-files"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A project whose fleet is up."""
    home = _project(tmp_path_factory.mktemp("project"))
    started = fleet(home.project, "up")
    assert started.returncode == 0, started.stderr
    yield home
    fleet(home.project, "down")


def _project(folder: Path) -> Home:
    shutil.copytree(_CONFIG_FILES, folder / "config-files")
    return Home(folder)


def _known(home: Home) -> dict[str, Any]:
    known = read_json(home.fleet_file)
    assert known is not None
    return known


def _report(home: Home) -> Report:
    report = Report.read(home)
    assert report is not None
    return report


class TestUp:
    def test_everything_answers_where_fleet_json_says(self, running: Home) -> None:
        known = _known(running)

        for name in ("gateway_url", "config_url", "discovery_url"):
            assert httpx.get(f"{known[name]}/actuator/health", trust_env=False).status_code == 200
        assert sorted(known["processes"]) == sorted(NAMES)
        assert known["admin"]["email"] == "admin@flotilla.example"

    def test_twice_is_harmless_and_says_what_runs(self, running: Home) -> None:
        before = _known(running)

        again = fleet(running.project, "up")

        assert again.returncode == 0
        assert "It runs already" in again.stdout
        assert f"{before['processes']['gateway'][0]['pid']} {before['gateway_url']}" in again.stdout
        assert _known(running) == before

    def test_two_at_the_same_moment_start_one_fleet(self, tmp_path: Path) -> None:
        home = _project(tmp_path)

        try:
            both = [begin_fleet(home.project, "up", "--only", "discovery-server") for _ in range(2)]

            told = [process.communicate(timeout=60) for process in both]
            assert [process.returncode for process in both] == [0, 0], told
            # The one that stepped back may need a moment more to end.
            wait_until(lambda: len(_supervisors(home)) == 1, "one supervisor is left")
        finally:
            ended = fleet(home.project, "down")
        assert ended.returncode == 0

    def test_a_changed_config_file_is_served_without_more(self, running: Home) -> None:
        changed = running.config_files / "application-other.yml"
        changed.write_text("greeting: hello\n")

        password = (read_json(running.secrets_file) or {})["gateway"]
        client = httpx.Client(base_url=_known(running)["config_url"], auth=("gateway", password), trust_env=False)

        wait_until(lambda: "hello" in client.get("/gateway/other").text, "the change is served")
        client.close()
        changed.unlink()

    def test_an_occupied_port_is_a_sentence_with_the_option_and_nothing_is_left_running(self, tmp_path: Path) -> None:
        home = _project(tmp_path)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()

            refused = fleet(home.project, "up", GATEWAY_PORT=str(other.getsockname()[1]))

        assert refused.returncode == 1
        assert "Address already in use" in refused.stderr
        assert "choose another with --gateway-port or GATEWAY_PORT." in refused.stderr
        assert "Traceback" not in refused.stderr
        assert processes_of(home) == []

    def test_without_what_apache_kafka_needs_it_says_so_and_nothing_is_left_running(self, tmp_path: Path) -> None:
        home = _project(tmp_path)
        nothing = {"PATH": str(tmp_path), "JAVA_HOME": "", "FLOTILLA_KAFKA_CACHE": str(tmp_path / "empty")}

        refused = fleet(home.project, "up", BROKER="kafka", **nothing)

        # It is Java that is missed first, unless the system has one in its place.
        assert refused.returncode == 1
        assert re.match(r"fleet: Apache Kafka('s jars are not here yet| needs Java 17 or newer), and ", refused.stderr)
        assert processes_of(home) == []

    def test_an_interrupt_while_it_starts_stops_everything(self, tmp_path: Path) -> None:
        home = _project(tmp_path)
        starting = begin_fleet(home.project, "up")
        wait_until(lambda: "config-files are published" in _supervisors_log(home), "it has begun")

        starting.send_signal(signal.SIGINT)
        told, _ = starting.communicate(timeout=30)

        assert starting.returncode == 130
        assert "Stopping again." in told
        assert processes_of(home) == []

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("up", "--only", "odrer-service"), "There is no odrer-service in this fleet; there are postgres, "),
            (("up", "--broker", "rabbit"), "There is no broker 'rabbit': BROKER can be embedded or kafka."),
            (("status",), "No fleet runs here: start it with 'fleet up'."),
            (("demo",), "No fleet runs here"),
            (("env",), "No fleet runs here"),
            (("logs",), "There is no log in "),
        ],
    )
    def test_what_can_not_be_done_is_a_sentence(
        self, tmp_path: Path, arguments: tuple[str, ...], sentence: str
    ) -> None:
        refused = fleet(_project(tmp_path).project, *arguments)

        assert refused.returncode == 1
        assert refused.stderr.startswith(f"fleet: {sentence}")
        assert len(refused.stderr.splitlines()) == 1

    def test_a_run_folder_that_can_not_be_written_to_is_a_sentence(self, tmp_path: Path) -> None:
        home = _project(tmp_path)
        home.run.write_text("a file where the folder belongs")

        refused = fleet(home.project, "up")

        assert refused.returncode == 1
        assert refused.stderr == f"fleet: {home.run} can't be written to: File exists.\n"


class TestWhatRuns:
    def test_status_has_a_line_for_each_process_with_its_memory(self, running: Home) -> None:
        told = fleet(running.project, "status").stdout

        for process in _report(running).processes:
            line = next(line for line in told.splitlines() if line.startswith(process.name))
            assert f" {process.pid} {process.url} " in line
            assert line.endswith("MiB")
        assert told.splitlines()[-1].startswith("all ")

    def test_env_is_understood_by_a_shell(self, running: Home) -> None:
        exports = fleet(running.project, "env").stdout

        told = subprocess.run(
            ["/bin/sh", "-c", f'{exports}\necho "$GATEWAY_URL $ADMIN_EMAIL $ADMIN_PASSWORD $KAFKA_BOOTSTRAP"'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

        known = _known(running)
        assert told == [known["gateway_url"], *known["admin"].values(), known["kafka"]]

    def test_env_has_what_opens_the_platform_for_its_admins(self, running: Home) -> None:
        exports = dict(
            line.removeprefix("export ").split("=", 1) for line in fleet(running.project, "env").stdout.split("\n")[:-1]
        )
        config, discovery = exports["CONFIG_ADMIN_PASSWORD"], exports["DISCOVERY_ADMIN_PASSWORD"]

        assert httpx.get(f"{exports['CONFIG_URL']}/order-service/default", auth=("admin", config)).status_code == 200
        assert httpx.get(f"{exports['DISCOVERY_URL']}/discovery/audit", auth=("admin", discovery)).status_code == 200
        assert len(exports["CONFIG_WEBHOOK_SECRET"]) >= 32

    def test_logs_are_readable_or_as_they_were_written(self, running: Home) -> None:
        readable = fleet(running.project, "logs", "gateway").stdout
        raw = fleet(running.project, "logs", "gateway", "--json").stdout

        assert "INFO    gateway            gateway listens on http://127.0.0.1:" in readable
        assert raw.splitlines()[0].startswith('{"time": ')


def _supervisors(home: Home) -> set[int]:
    """The sessions of the supervisor's program that are no part's; each part leads one of its own."""
    sessions = set()
    for process in processes_of(home):
        if "fleet.supervisor" in process:
            with suppress(ProcessLookupError):
                sessions.add(os.getsid(int(process.split()[0])))
    return sessions - {process["pid"] for [process] in _known(home)["processes"].values()}


class TestDemo:
    def test_three_orders_go_through_the_fleet(self, running: Home) -> None:
        shown = fleet(running.project, "demo")

        assert shown.returncode == 0, shown.stderr
        assert "in stock, card accepted: CONFIRMED" in shown.stdout
        assert "more than there is: CANCELLED (out-of-stock)" in shown.stdout
        assert "card declined: CANCELLED (payment-failed)" in shown.stdout


class TestTwoFleets:
    def test_they_run_beside_each_other_with_nothing_in_common(self, running: Home, tmp_path: Path) -> None:
        other = _project(tmp_path)

        assert fleet(other.project, "up", "--only", "discovery-server").returncode == 0

        mine, others = _known(running), _known(other)
        assert mine["database_url"] != others["database_url"]
        assert mine["kafka"] != others["kafka"]
        assert mine["admin"]["password"] != others["admin"]["password"]
        assert fleet(other.project, "down").returncode == 0
        assert processes_of(other) == []
        assert httpx.get(f"{mine['gateway_url']}/actuator/health", trust_env=False).status_code == 200


class TestDeathAndDown:
    """Last in this module: these end the fleet that the others share."""

    async def test_after_sigkill_of_everything_up_just_works_and_the_data_is_there(self, running: Home) -> None:
        client = await asyncpg.connect(_known(running)["database_url"])
        await client.execute("CREATE TABLE placed AS SELECT 7 AS id")
        await client.close()

        for process in processes_of(running):
            with suppress(ProcessLookupError):  # its parent was killed a moment ago, and it with that
                os.kill(int(process.split()[0]), signal.SIGKILL)
        wait_until(lambda: processes_of(running) == [], "everything is gone")
        assert fleet(running.project, "status").returncode == 1
        started = fleet(running.project, "up")

        assert started.returncode == 0, started.stderr
        client = await asyncpg.connect(_known(running)["database_url"])
        assert await client.fetchval("SELECT id FROM placed") == 7
        await client.close()

    def test_down_leaves_no_process_and_no_fleet_json(self, running: Home) -> None:
        ended = fleet(running.project, "down")

        assert ended.returncode == 0
        assert "The fleet has stopped." in ended.stdout
        assert processes_of(running) == []
        assert not running.fleet_file.exists()

    def test_down_twice_is_harmless(self, running: Home) -> None:
        fleet(running.project, "down")

        again = fleet(running.project, "down")

        assert again.returncode == 0
        assert "No fleet runs here." in again.stdout


def _supervisors_log(home: Home) -> str:
    return home.log_of("fleet").read_text() if home.log_of("fleet").exists() else ""

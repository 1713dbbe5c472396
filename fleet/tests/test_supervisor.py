"""The supervisor, with fleets of tiny services: it starts them, keeps them running, and leaves nothing behind."""

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from chassis.testing.waiting import wait_until
from support.fleets import TinyFleet, processes_of

from fleet import launch
from fleet.processes import ProcessId
from fleet.state import FleetProblem, Home, read_json

StartTinyFleet = Callable[..., TinyFleet]


def _about(home: Home, name: str) -> dict[str, Any]:
    """What a tiny service says of itself."""
    known = read_json(home.fleet_file)
    assert known is not None
    connection = http.client.HTTPConnection(known["processes"][name][0]["url"].removeprefix("http://"), timeout=5)
    connection.request("GET", "/about")
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


class TestStart:
    def test_all_parts_are_ready_and_fleet_json_says_where_they_are(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        report = start_tiny_fleet({"name": "one"}, {"name": "two"}).wait_until_ready()

        known = read_json(home.fleet_file)
        assert known is not None
        assert [(p.name, p.condition, p.restarts) for p in report.processes] == [
            ("one", "ready", 0),
            ("two", "ready", 0),
        ]
        assert _about(home, "two")["pid"] == known["processes"]["two"][0]["pid"]
        assert stat.S_IMODE(home.fleet_file.stat().st_mode) == 0o600

    def test_a_part_sees_its_own_environment_alone_and_writes_to_its_own_log(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        start_tiny_fleet({"name": "one", "ONLY_ONE": "1"}, {"name": "two"}).wait_until_ready()

        one, two = _about(home, "one")["environment"], _about(home, "two")["environment"]

        assert one["ONLY_ONE"] == "1"
        assert sorted(two) == ["HOST", "NAME", "PATH", "PORT", "PYTHONPATH"]
        assert home.log_of("one").read_text() == "one runs\n"

    def test_forked_parts_have_what_is_shared_and_nothing_else_of_their_parent(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        fleet = start_tiny_fleet({"name": "one"}, with_imports=True)
        fleet.wait_until_ready()

        about = _about(home, "one")

        assert about["session"] == about["pid"] != fleet.process.pid
        assert {"chassis.web", "uvicorn", "uvloop"} <= set(about["modules"])
        assert not [module for module in about["modules"] if module.startswith(("order_service", "auth_service"))]
        # Its listening socket and the one of this request, and the folder that is being listed.
        assert len([name for name in about["descriptors"] if name.startswith("socket:")]) == 2
        assert {name for name in about["descriptors"] if str(home.run) in name} == {str(home.log_of("one"))}

    def test_forked_parts_never_draw_the_same_random_numbers_or_ids(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        start_tiny_fleet({"name": "one"}, {"name": "two"}, with_imports=True).wait_until_ready()

        one, two = _about(home, "one"), _about(home, "two")

        assert one["random"] != two["random"]
        assert one["id"][-20:] != two["id"][-20:]  # the random part of a UUIDv7

    def test_a_part_that_never_starts_is_named_with_its_last_words_and_nothing_is_left(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        fleet = start_tiny_fleet({"name": "good"}, {"name": "bad", "DIE_SAYING": "bad: no such luck."})

        with pytest.raises(FleetProblem, match=r"^bad does not start: ended with exit code 1; .*bad: no such luck\."):
            fleet.wait_until_ready()

        assert fleet.process.wait(10) == 1
        assert processes_of(home) == []
        assert not home.fleet_file.exists()

    def test_an_exception_of_a_forked_part_stays_in_its_process(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        fleet = start_tiny_fleet({"name": "good"}, {"name": "bad", "RAISE": "1"})

        with pytest.raises(FleetProblem, match=r"bad does not start: .*ValueError: this was to be expected"):
            fleet.wait_until_ready()

        assert "this was to be expected" in home.log_of("bad").read_text()
        assert "Traceback" not in fleet.log()

    def test_a_second_supervisor_of_the_same_folder_steps_back(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        first = start_tiny_fleet({"name": "one"})
        first.wait_until_ready()
        pids = first.pids()

        assert start_tiny_fleet({"name": "one"}).process.wait(10) == 0

        assert first.pids() == pids
        assert home.is_supervised()


class TestRestart:
    def test_a_killed_part_is_back_within_a_second_at_the_same_address(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        fleet = start_tiny_fleet({"name": "one"}, {"name": "two"})
        before = {process.name: process.url for process in fleet.wait_until_ready().processes}
        killed = fleet.pids()["one"]

        os.kill(killed, signal.SIGKILL)
        took_seconds = wait_until(
            lambda: fleet.pids().get("one", killed) != killed and fleet.report().processes[0].condition == "ready",
            "the killed part is ready again",
        )

        assert took_seconds < 1
        assert {process.name: process.url for process in fleet.report().processes} == before
        assert fleet.report().processes[0].restarts == 1
        assert _about(home, "one")["pid"] == fleet.pids()["one"]

    def test_the_death_is_told_with_the_end_of_the_log(self, home: Home, start_tiny_fleet: StartTinyFleet) -> None:
        fleet = start_tiny_fleet({"name": "one"})
        fleet.wait_until_ready()

        os.kill(fleet.pids()["one"], signal.SIGKILL)
        wait_until(lambda: fleet.report().processes[0].restarts == 1, "the death was noticed")

        assert "one was ended by SIGKILL; the end of its log: one runs; it is started again in 0.0 s" in fleet.log()


class TestStop:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    def test_all_parts_are_ended_the_last_wave_first(
        self, home: Home, start_tiny_fleet: StartTinyFleet, how: signal.Signals
    ) -> None:
        fleet = start_tiny_fleet({"name": "door", "wave": "DOOR"}, {"name": "base", "wave": "INFRASTRUCTURE"})
        fleet.wait_until_ready()

        fleet.process.send_signal(how)

        assert fleet.process.wait(10) == 0
        assert processes_of(home) == []
        assert home.log_of("door").read_text() == "door runs\nends well\n"
        assert home.log_of("door").stat().st_mtime_ns < home.log_of("base").stat().st_mtime_ns
        assert not home.fleet_file.exists()
        assert [*home.pids.iterdir()] == []

    def test_a_part_that_does_not_listen_to_sigterm_is_killed_after_a_grace(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        fleet = start_tiny_fleet({"name": "deaf", "IGNORE_SIGTERM": "1"})
        fleet.wait_until_ready()

        fleet.process.terminate()

        assert fleet.process.wait(10) == 0
        assert processes_of(home) == []

    def test_it_can_be_stopped_while_it_starts(self, home: Home, start_tiny_fleet: StartTinyFleet) -> None:
        fleet = start_tiny_fleet({"name": "slow", "NEVER_READY": "1"})
        wait_until(lambda: bool(processes_of(home)) and "slow is started" in fleet.log(), "it is starting")

        assert launch.stop(home)

        assert fleet.process.wait(10) == 0
        assert processes_of(home) == []

    def test_stopping_what_does_not_run_says_so(self, home: Home) -> None:
        assert not launch.stop(home)


class TestKilledSupervisor:
    def test_no_part_outlives_it_and_the_next_one_just_starts(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        killed = start_tiny_fleet({"name": "one"}, {"name": "two", "IGNORE_SIGTERM": "1"})
        killed.wait_until_ready()

        killed.process.kill()
        killed.process.wait()
        wait_until(lambda: processes_of(home) == [], "the parts have ended with their supervisor")
        assert not home.is_supervised()

        start_tiny_fleet({"name": "one"}, {"name": "two"}).wait_until_ready()

    def test_what_outlived_it_is_ended_and_a_stranger_with_an_old_number_is_not(
        self, home: Home, start_tiny_fleet: StartTinyFleet
    ) -> None:
        # Given what a killed supervisor leaves behind where children can't be made to die with it.
        orphan, stranger = (
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)
        )
        started = ProcessId.of(orphan.pid).started
        (home.pids / "one.json").write_text(json.dumps({"pid": orphan.pid, "started": started}))
        (home.pids / "two.json").write_text(json.dumps({"pid": stranger.pid, "started": "long ago"}))

        start_tiny_fleet({"name": "one"}).wait_until_ready()

        assert orphan.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
        assert not (home.pids / "two.json").exists()
        stranger.communicate(b"\n")
        orphan.communicate()

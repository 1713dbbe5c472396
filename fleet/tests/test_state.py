"""The `.run` folder: found, made, locked, and its secrets kept."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from chassis.testing.waiting import wait_until

from fleet.state import FleetProblem, Home, Secrets, read_json, write_json


class TestHome:
    def test_it_is_found_from_any_folder_of_the_project(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        below = home.project / "some" / "folder"
        below.mkdir(parents=True)
        monkeypatch.delenv("FLEET_HOME", raising=False)
        monkeypatch.chdir(below)

        assert Home.find().project == home.project

    def test_fleet_home_names_it_from_anywhere(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLEET_HOME", str(home.project))
        monkeypatch.chdir("/")

        assert Home.find().run == home.run

    def test_outside_of_a_project_it_says_what_is_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FLEET_HOME", raising=False)
        monkeypatch.chdir("/")

        with pytest.raises(FleetProblem, match="has config-files: run this in the project's folder"):
            Home.find()

    def test_a_fleet_home_that_is_no_folder_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLEET_HOME", str(tmp_path / "nowhere"))

        with pytest.raises(FleetProblem, match="nowhere is no folder"):
            Home.find()

    def test_its_folder_is_closed_to_others(self, home: Home) -> None:
        assert stat.S_IMODE(home.run.stat().st_mode) == 0o700

    def test_a_place_that_cannot_be_written_to_is_told(self, tmp_path: Path) -> None:
        (tmp_path / ".run").write_text("a file where the folder belongs")

        with pytest.raises(FleetProblem, match=r"\.run can't be written to: "):
            Home(tmp_path).prepare()

    def test_a_log_that_has_grown_large_begins_anew(self, home: Home) -> None:
        home.log_of("one").write_bytes(b"x" * 10_000_001)

        with os.fdopen(home.open_log("one"), "w") as log:
            log.write("new\n")

        assert home.log_of("one").read_text() == "new\n"
        assert (home.logs / "one.log.1").stat().st_size == 10_000_001


_HOLD_THE_LOCK = """
import sys
from pathlib import Path
from fleet.state import Home
with Home(Path(sys.argv[1])).lock() as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


class TestLock:
    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    def test_one_process_has_it_until_it_ends(self, home: Home, how: signal.Signals) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLD_THE_LOCK, str(home.project)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"

        assert home.is_supervised()
        with home.lock() as is_ours:
            assert not is_ours

        holder.send_signal(how)
        holder.communicate()
        wait_until(lambda: not home.is_supervised(), "the lock is free")

    def test_a_home_where_nothing_ever_ran_is_not_supervised(self, tmp_path: Path) -> None:
        assert not Home(tmp_path).is_supervised()


class TestSecrets:
    def test_they_are_generated_once_and_kept_for_their_owner_alone(self, home: Home) -> None:
        first = Secrets(home.secrets_file)
        secret = first.of("admin")
        first.save()

        again = Secrets(home.secrets_file)

        assert again.of("admin") == secret
        assert len(secret) >= 32
        assert again.of("other") != secret
        assert stat.S_IMODE(home.secrets_file.stat().st_mode) == 0o600

    def test_a_file_of_secrets_that_cannot_be_understood_is_never_replaced(self, home: Home) -> None:
        home.secrets_file.write_text('{"admin": "half of a fi')

        with pytest.raises(FleetProblem, match="can't be understood"):
            Secrets(home.secrets_file)

        assert home.secrets_file.read_text() == '{"admin": "half of a fi'

    def test_another_home_has_others(self, home: Home, tmp_path: Path) -> None:
        assert Secrets(home.secrets_file).of("admin") != Secrets(tmp_path / "secrets.json").of("admin")


class TestFiles:
    def test_a_file_that_was_not_finished_is_replaced_and_the_old_one_was_whole_until_then(self, home: Home) -> None:
        file = home.run / "some.json"
        write_json(file, {"a": 1})
        (home.run / "some.json.new").write_text("{half of i")
        assert read_json(file) == {"a": 1}

        write_json(file, {"a": 2})

        assert read_json(file) == {"a": 2}

    @pytest.mark.parametrize("content", ["", "{half of i", "[1]"])
    def test_what_can_not_be_understood_counts_as_not_there(self, home: Home, content: str) -> None:
        (home.run / "some.json").write_text(content)

        assert read_json(home.run / "some.json") is None

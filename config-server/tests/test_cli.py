"""The command `config-server check`, as a shell and a continuous integration see it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config_server.cli import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_nothing_wrong_is_0_and_no_line(folder: Path) -> None:
    (folder / "app.yml").write_text("a: 1\n")

    ended = _run("check", ".")

    assert (ended.exit_code, ended.output) == (0, "")


def test_a_finding_is_1_and_a_line_with_the_file_as_it_is_found_from_here(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files" / "app.yml").write_text("a: 1\nb: 2\nb: 3\n")

    ended = _run("check", "files")

    assert (ended.exit_code, ended.output) == (1, "files/app.yml:3:1: the key 'b' is there twice\n")


def test_schemas_beside_the_files_are_used_and_others_can_be_named(folder: Path) -> None:
    (folder / "app.yml").write_text("a: 1\n")
    (folder / ".schemas").mkdir()
    (folder / ".schemas" / "app.json").write_text(json.dumps({"properties": {"b": {}}}))
    (folder / "others").mkdir()
    (folder / "others" / "app.json").write_text(json.dumps({"properties": {"a": {}}}))

    assert _run("check", ".").output == "app.yml:1:4: a is no setting of app\n"
    assert _run("check", ".", "--schemas", "others").exit_code == 0


def test_search_paths_and_profiles_can_be_named(folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "application.yml").write_text("a: ${b}\n")
    (folder / "app-dev.yml").write_text("b: 1\n")

    assert _run("check", ".").exit_code == 0
    said = _run("check", ".", "--search-paths", "{application}", "--profile", "dev")
    assert said.output == "app/application.yml:1:4: nothing gives ${b} a value (for app in profile default)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "none"], "config-server: there is no folder none"),
        (["check", ".", "--label", "main"], "config-server: There is no Git repository at"),
        (["check", ".", "--schemas", "none"], "config-server: none: No such file or directory"),
        (["check"], "Missing argument"),
        (["serve"], "No such command"),
    ],
)
def test_what_can_not_be_checked_is_2_and_says_why(arguments: list[str], said: str) -> None:
    ended = _run(*arguments)

    assert ended.exit_code == 2
    assert said in ended.stderr
    assert ended.stdout == ""


def test_the_fleets_own_files_have_nothing_wrong() -> None:
    """In a process of its own, as `make check` runs it."""
    command = [sys.executable, "-m", "config_server.cli", "check", "config-files"]

    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

"""The process: what it needs to start, and what it says if it does not get it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from chassis.settings import SettingsInvalid
from support.repositories import ConfigRepository

from config_server.settings import Settings


def _start(environment: dict[str, str]) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONFIG_")}
    return subprocess.Popen(
        [sys.executable, "-m", "config_server"],
        env=inherited | {"PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"CONFIG_SERVER_GIT_URI": "/nowhere/at/all"}, "There is no Git repository at /nowhere/at/all."),
        ({"CONFIG_SERVER_GIT_URI": "git://me:secret@example.test/x.git"}, "not over git"),
        ({"CONFIG_SERVER_GIT_URI": ""}, "set CONFIG_SERVER_GIT_URI"),
    ],
)
def test_without_a_repository_it_ends_with_a_sentence(environment: dict[str, str], sentence: str) -> None:
    process = _start({"CONFIG_SERVER_ANONYMOUS": "true"} | environment)

    output, error = process.communicate(timeout=30)

    assert process.returncode == 1
    assert error.startswith("config-server: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert "secret" not in error + output


def test_it_serves_until_it_is_told_to_stop(repository: ConfigRepository) -> None:
    commit = repository.commit({"app.yml": "a: 1\n"})
    process = _start(
        {
            "CONFIG_SERVER_GIT_URI": f"file://{repository.path}",
            "CONFIG_SERVER_CREDENTIALS": json.dumps({"app": "pw"}),
        }
    )
    try:
        assert process.stdout is not None
        listens = re.search(r"http://[0-9.]+:\d+", process.stdout.readline())
        assert listens is not None

        answer = httpx.get(f"{listens[0]}/app/default", auth=("app", "pw"), trust_env=False)

        assert answer.json()["version"] == commit
        assert answer.json()["propertySources"][0]["name"] == f"file://{repository.path}/app.yml"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)  # uvicorn passes the signal on when it is done


class TestSettings:
    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({}, "CONFIG_SERVER_CREDENTIALS"),
            ({"config-server.credentials": {"app": ""}}, "the password of app"),
            ({"config-server.anonymous": True, "config-server.git-search-paths": "a,../b"}, "leads out"),
        ],
    )
    def test_who_may_read_must_be_said_and_search_paths_stay_inside(
        self, fields: dict[str, object], sentence: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SettingsInvalid, match=sentence):
            Settings.of({"config-server.git-uri": str(tmp_path)} | fields)

    def test_the_applications_passwords_count_among_the_secrets(self, tmp_path: Path) -> None:
        settings = Settings.of({"config-server.git-uri": str(tmp_path), "config-server.credentials": {"app": "dev"}})

        assert ("CONFIG_SERVER_CREDENTIALS (app)", "dev") in list(settings.secrets())
        assert "dev" not in str(settings.credentials)

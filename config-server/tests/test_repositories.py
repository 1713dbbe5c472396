"""A server over a repository on another machine: ready when it has it, and honest when it can't have what is new."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chassis.settings import SettingsInvalid
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.git_server import GitServer, git_server
from support.repositories import ConfigRepository
from support.server import RunningServer, running_whole

from config_server.repositories import Repositories
from config_server.settings import Settings


@pytest.fixture
def remote_server(repository: ConfigRepository) -> Iterator[GitServer]:
    repository.commit({"app.yml": "a: 1\n"})
    with git_server(repository.path, credential=("robot", "s3cret")) as server:
        yield server


@pytest.fixture
def fields(remote_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    return {
        "git_uri": remote_server.uri.replace("//", "//robot:s3cret@"),
        "git_fetch_seconds": "0.05",
        "git_stale_after_seconds": "0.5",
        "anonymous": "true",
    }


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def _is_ready(server: RunningServer) -> bool:
    return server.ask("/actuator/health/readiness").status == 200


def test_it_is_not_ready_until_the_first_clone_is_there(remote_server: GitServer, fields: dict[str, str]) -> None:
    remote_server.fault = "refuse"
    with running_whole(**fields) as server:
        _wait_until(lambda: b"503" in server.ask("/actuator/health").body)
        assert not _is_ready(server)
        refused = server.ask("/app/default")
        assert refused.status == 503
        assert "has not been cloned yet" in refused.headers["x-config-reason"]

        remote_server.heal()
        _wait_until(lambda: _is_ready(server))

        answer = server.ask("/app/default")
        assert answer.values() == {"a": 1}
        assert answer.json()["propertySources"][0]["name"] == f"{remote_server.uri}/app.yml"
        assert "x-config-stale" not in answer.headers


def test_what_is_pushed_is_served_without_a_request_that_fetches(
    remote_server: GitServer, fields: dict[str, str], repository: ConfigRepository
) -> None:
    with running_whole(**fields) as server:
        _wait_until(lambda: _is_ready(server))
        commit = repository.commit({"app.yml": "a: 2\n"})

        _wait_until(lambda: server.ask("/app/default").json()["version"] == commit)


def test_while_it_can_not_fetch_the_last_commit_is_served_and_said_to_be_stale(
    remote_server: GitServer, fields: dict[str, str]
) -> None:
    with running_whole(**fields) as server:
        _wait_until(lambda: _is_ready(server))
        remote_server.fault = "refuse"

        _wait_until(lambda: "x-config-stale" in server.ask("/app/default").headers)

        assert server.ask("/app/default").values() == {"a": 1}
        assert _is_ready(server)
        details = server.ask("/actuator/health").json()["components"]["repository"]["details"]
        assert details["stale"] is True
        assert details["ageSeconds"] >= 0.5
        assert "503" in details["reason"]
        assert "s3cret" not in str(details)
        assert b'config_server_fetch_stale{repository="default"} 1.0' in server.ask("/actuator/prometheus").body

        remote_server.heal()
        _wait_until(lambda: "x-config-stale" not in server.ask("/app/default").headers)


def test_a_clone_from_before_is_served_at_once(remote_server: GitServer, fields: dict[str, str]) -> None:
    with running_whole(**fields) as server:
        _wait_until(lambda: _is_ready(server))
    remote_server.fault = "refuse"

    with running_whole(**fields) as server:
        assert server.ask("/app/default").values() == {"a": 1}


class TestSettings:
    def test_what_stands_in_the_address_is_taken_out(self, fields: dict[str, str], remote_server: GitServer) -> None:
        settings = Settings.of({f"config-server.{name.replace('_', '-')}": value for name, value in fields.items()})

        assert settings.git_uri == remote_server.uri
        assert settings.git_username == "robot"
        assert "s3cret" not in repr(settings)
        assert ("CONFIG_SERVER_GIT_PASSWORD", "s3cret") in list(settings.secrets())

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"config-server.git-stale-after-seconds": 1}, "GIT_STALE_AFTER_SECONDS must be more"),
            ({"config-server.git-ca-file": "/nowhere"}, "GIT_CA_FILE: there is no file /nowhere"),
            ({"config-server.git-known-hosts-file": "/nowhere"}, "GIT_KNOWN_HOSTS_FILE: there is no file /nowhere"),
            ({"config-server.git-uri": "http://host/a", "config-server.git-proxy": "http://proxy"}, "only for https"),
            ({"config-server.git-uri": "https:///a"}, "no host"),
        ],
    )
    def test_what_can_not_work_is_said_at_the_start(self, more: dict[str, object], sentence: str) -> None:
        with pytest.raises(SettingsInvalid, match=sentence):
            Settings.of(
                {"config-server.git-uri": "https://host/a.git", "config-server.anonymous": True} | more
            ).remote()

    @pytest.mark.parametrize(("passphrase", "is_right"), [("phrase", True), ("wrong", False), ("", False)])
    def test_a_private_key_that_can_not_be_read_is_said_at_the_start(
        self, passphrase: str, is_right: bool, tmp_path: Path
    ) -> None:
        (tmp_path / "key").write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"phrase"),
            )
        )
        properties = {
            "config-server.git-uri": "git@host:a.git",
            "config-server.anonymous": True,
            "config-server.git-private-key-file": str(tmp_path / "key"),
            "config-server.git-passphrase": passphrase,
        }

        if is_right:
            remote = Settings.of(properties).remote()
            assert remote is not None
            assert remote.credential.passphrase == "phrase"
        else:
            with pytest.raises(SettingsInvalid, match="can't be read with the passphrase"):
                Settings.of(properties)

    def test_a_state_folder_that_can_not_be_written_is_said(
        self, fields: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("STATE_DIR", str(tmp_path / "file"))
        settings = Settings.of({f"config-server.{name.replace('_', '-')}": value for name, value in fields.items()})

        with pytest.raises(SettingsInvalid, match="STATE_DIR"):
            Repositories(settings)

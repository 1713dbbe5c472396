"""A repository behind ssh, over a real connection: who we are, and who the other side is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pygit2
import pytest
from chassis.settings import SettingsInvalid
from support.repositories import ConfigRepository
from support.ssh_server import SshServer, ssh_server

from config_server.errors import FetchFailed
from config_server.remotes import Credential, Remote, prepare_git
from config_server.settings import Settings

PASSPHRASE = "a passphrase"

Prepare = Callable[[str], None]


@pytest.fixture(scope="module")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def commit(repository: ConfigRepository) -> str:
    return repository.commit({"app.yml": "a: 1\n"})


@pytest.fixture
def server(repository: ConfigRepository, commit: str, key: asyncssh.SSHKey) -> Iterator[SshServer]:
    with ssh_server(repository.path, key) as server:
        yield server


@pytest.fixture
def known_hosts(tmp_path: Path) -> Prepare:
    """Sets what is known of hosts."""

    def prepare(lines: str) -> None:
        file = tmp_path / "known_hosts"
        file.write_text(lines)
        prepare_git(timeout_seconds=5, state=tmp_path / "state", known_hosts_file=file)

    return prepare


@pytest.fixture
def empty(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "empty.git"), bare=True)


def credential(folder: Path, key: asyncssh.SSHKey) -> Credential:
    file = folder / "id"
    key.write_private_key(file, passphrase=PASSPHRASE, rounds=50)
    return Credential(private_key_file=file, passphrase=PASSPHRASE)


def test_a_known_host_is_shown_the_key_and_fetched(
    server: SshServer,
    known_hosts: Prepare,
    key: asyncssh.SSHKey,
    tmp_path: Path,
    empty: pygit2.Repository,
    repository: ConfigRepository,
) -> None:
    known_hosts(server.known_hosts_line())
    remote = Remote(server.uri, credential(tmp_path, key))
    first = remote.bring(empty)
    newer = repository.commit({"app.yml": "a: 2\n"})

    second = remote.bring(empty)

    assert first["HEAD"] == "refs/heads/main"
    assert second["refs/heads/main"] == newer
    assert str(empty.references["refs/fetched/heads/main"].target) == newer


def test_a_host_with_another_key_than_the_known_one_is_refused(
    server: SshServer, known_hosts: Prepare, key: asyncssh.SSHKey, tmp_path: Path, empty: pygit2.Repository
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known_hosts(f"[127.0.0.1]:{server.port} {other}")

    with pytest.raises(FetchFailed, match="is not the one in the known hosts file"):
        Remote(server.uri, credential(tmp_path, key)).bring(empty)


def test_an_unknown_host_is_refused_unless_that_is_switched_off(
    server: SshServer, known_hosts: Prepare, key: asyncssh.SSHKey, tmp_path: Path, empty: pygit2.Repository, commit: str
) -> None:
    known_hosts("")
    ours = credential(tmp_path, key)

    with pytest.raises(FetchFailed, match="is not the one in the known hosts file"):
        Remote(server.uri, ours).bring(empty)

    assert Remote(server.uri, ours, strict_host_keys=False).bring(empty)["refs/heads/main"] == commit


def test_a_key_that_the_host_does_not_know_is_refused(
    server: SshServer, known_hosts: Prepare, tmp_path: Path, empty: pygit2.Repository
) -> None:
    known_hosts(server.known_hosts_line())
    stranger = credential(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))

    with pytest.raises(FetchFailed, match="does not accept the credential of git"):
        Remote(server.uri, stranger).bring(empty)


class TestTheKeyInTheSettings:
    @pytest.mark.parametrize(
        ("algorithm", "form"),
        [("ssh-ed25519", "openssh"), ("ecdsa-sha2-nistp256", "openssh"), ("ecdsa-sha2-nistp256", "pkcs8-pem")],
    )
    def test_what_libssh2_can_use_is_taken(self, tmp_path: Path, algorithm: str, form: str) -> None:
        assert settings(tmp_path, algorithm, form).remote() is not None

    @pytest.mark.parametrize(
        ("algorithm", "form"), [("ssh-rsa", "openssh"), ("ssh-rsa", "pkcs8-pem"), ("ssh-ed25519", "pkcs8-pem")]
    )
    def test_what_would_damage_its_memory_is_refused(self, tmp_path: Path, algorithm: str, form: str) -> None:
        with pytest.raises(SettingsInvalid, match="ssh-keygen -t ed25519"):
            settings(tmp_path, algorithm, form)

    def test_a_wrong_passphrase_is_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match="can't be read with the passphrase"):
            settings(tmp_path, "ssh-ed25519", "openssh", passphrase="another")


def settings(folder: Path, algorithm: str, form: str, passphrase: str = PASSPHRASE) -> Settings:
    file = folder / "id"
    asyncssh.generate_private_key(algorithm).write_private_key(file, form, passphrase=PASSPHRASE, rounds=50)
    return Settings.of(
        {
            "config-server.git-uri": "ssh://git@host/config.git",
            "config-server.git-private-key-file": str(file),
            "config-server.git-passphrase": passphrase,
            "config-server.anonymous": True,
        }
    )

"""How a repository on another machine is reached, over real sockets: credentials, certificates, silence, proxies."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import CredentialType
from support.certificates import self_signed
from support.git_server import GitServer, git_server
from support.proxy import tunnel_to
from support.repositories import ConfigRepository

from config_server.errors import FetchFailed, RepositoryUnusable
from config_server.remotes import Credential, Remote, RemoteDialogue, is_remote, prepare_git, without_user_info


@pytest.fixture(autouse=True)
def _git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    prepare_git(timeout_seconds=0.3, state=tmp_path / "state")


@pytest.fixture
def commit(repository: ConfigRepository) -> str:
    return repository.commit({"app.yml": "a: 1\n"})


@pytest.fixture
def remote_server(repository: ConfigRepository, commit: str) -> Iterator[GitServer]:
    with git_server(repository.path) as server:
        yield server


@pytest.fixture
def empty(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "empty.git"), bare=True)


class TestBring:
    def test_all_branches_and_tags_are_brought_beside_the_labels(
        self, repository: ConfigRepository, remote_server: GitServer, empty: pygit2.Repository
    ) -> None:
        repository.commit({"b.yml": "b: 1\n"}, branch="release/1.0")
        repository.replay([{"tag": "v1", "message": "annotated"}])

        told = Remote(remote_server.uri).bring(empty)

        assert told == {
            "HEAD": "refs/heads/main",
            **{name: str(repository.git.references[name].target) for name in repository.git.references},
        }
        assert sorted(empty.references) == [
            "refs/fetched/heads/main",
            "refs/fetched/heads/release/1.0",
            "refs/fetched/tags/v1",
        ]

    def test_nothing_is_downloaded_where_nothing_is_new(
        self, remote_server: GitServer, commit: str, empty: pygit2.Repository
    ) -> None:
        Remote(remote_server.uri).bring(empty)
        downloads = len([request for request in remote_server.requests if request.startswith("POST")])

        told = Remote(remote_server.uri).bring(empty)

        assert told["refs/heads/main"] == commit
        assert len([request for request in remote_server.requests if request.startswith("POST")]) == downloads

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            ("refuse", "can't be fetched: .*503"),
            ("garbage", "can't be fetched: "),
            ("cut", "can't be fetched: "),
            ("hang", "can't be fetched: .*timed out"),
        ],
    )
    def test_a_remote_that_is_ill_is_given_up_with_a_sentence(
        self, fault: str, sentence: str, remote_server: GitServer, empty: pygit2.Repository
    ) -> None:
        remote_server.fault = fault
        begun = time.monotonic()

        with pytest.raises(FetchFailed, match=sentence):
            Remote(remote_server.uri).bring(empty)

        assert time.monotonic() - begun < 5
        assert not list(empty.references)

    @pytest.mark.parametrize("scheme", ["http", "https", "ssh"])
    def test_a_machine_that_takes_the_connection_and_says_nothing_is_given_up(
        self, scheme: str, empty: pygit2.Repository
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            begun = time.monotonic()

            with pytest.raises(FetchFailed, match="can't be fetched"):
                Remote(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/config.git").bring(empty)

            assert time.monotonic() - begun < 5

    def test_a_machine_that_is_not_there_is_given_up(self, empty: pygit2.Repository) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]

        with pytest.raises(FetchFailed, match="failed to connect"):
            Remote(f"http://127.0.0.1:{port}/config.git").bring(empty)

    def test_a_remote_without_branches_is_not_believed(self, tmp_path: Path, empty: pygit2.Repository) -> None:
        ConfigRepository(tmp_path / "blank.git")

        with git_server(tmp_path / "blank.git") as blank, pytest.raises(FetchFailed, match="has no branches"):
            Remote(blank.uri).bring(empty)

    @pytest.mark.parametrize("from_environment", [False, True])
    def test_a_proxy_is_used_that_is_set_or_that_the_environment_names(
        self,
        from_environment: bool,
        tmp_path: Path,
        repository: ConfigRepository,
        commit: str,
        empty: pygit2.Repository,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        host = f"config-{from_environment}.invalid".lower()  # libgit2 keeps what it trusts
        certificate = self_signed(tmp_path / "certificate.pem", host)
        prepare_git(timeout_seconds=5, state=tmp_path / "state", ca_file=certificate)
        with git_server(repository.path, certificate=certificate) as server, tunnel_to(server.port) as (proxy, heads):
            if from_environment:
                monkeypatch.setenv("HTTPS_PROXY", proxy)

            remote = Remote(f"https://{host}/config.git", proxy=None if from_environment else proxy)

            assert remote.bring(empty)["refs/heads/main"] == commit
            assert heads[0].startswith(f"CONNECT {host}:443 ")


class TestCredentials:
    def test_the_password_is_shown_to_whom_asks_for_it(
        self, remote_server: GitServer, commit: str, empty: pygit2.Repository
    ) -> None:
        remote_server.credential = ("robot", "token")

        told = Remote(remote_server.uri, Credential("robot", "token")).bring(empty)

        assert told["refs/heads/main"] == commit

    @pytest.mark.parametrize(
        ("credential", "sentence"),
        [
            (Credential("robot", "secret"), "does not accept the credential of robot"),
            (Credential(), "wants a user and a password or token, and none is set"),
        ],
    )
    def test_a_credential_that_is_wrong_or_missing_is_said_and_not_shown(
        self, credential: Credential, sentence: str, remote_server: GitServer, empty: pygit2.Repository
    ) -> None:
        remote_server.credential = ("robot", "token")

        with pytest.raises(FetchFailed, match=sentence) as raised:
            Remote(remote_server.uri, credential).bring(empty)

        assert "secret" not in f"{raised.value!r} {Remote(remote_server.uri, credential)!r}"
        assert remote_server.passwords_seen in ([], ["robot:secret"])

    def test_a_redirection_to_another_machine_does_not_lead_the_password_there(
        self, repository: ConfigRepository, remote_server: GitServer, empty: pygit2.Repository
    ) -> None:
        with git_server(repository.path, credential=("robot", "token")) as thief:
            remote_server.fault = "redirect"
            remote_server.elsewhere = thief.uri.replace("127.0.0.1", "localhost")

            with pytest.raises(FetchFailed, match="redirects to localhost"):
                Remote(remote_server.uri, Credential("robot", "token")).bring(empty)

            assert thief.requests
            assert not thief.passwords_seen

    def test_over_ssh_the_key_is_shown_after_the_user_and_only_once(self, tmp_path: Path) -> None:
        remote = Remote("git@host:config.git", Credential(private_key_file=tmp_path / "key", passphrase="phrase"))
        dialogue = RemoteDialogue(remote, deadline=time.monotonic() + 60)

        user = dialogue.credentials("ssh://git@host/config.git", "git", CredentialType.USERNAME)
        key = dialogue.credentials("ssh://git@host/config.git", "git", CredentialType.SSH_KEY)

        assert user.credential_tuple == ("git",)
        assert key.credential_tuple == ("git", None, str(tmp_path / "key"), "phrase")
        with pytest.raises(FetchFailed, match="does not accept the credential of git"):
            dialogue.credentials("ssh://git@host/config.git", "git", CredentialType.SSH_KEY)

    def test_over_ssh_a_missing_key_is_said(self) -> None:
        dialogue = RemoteDialogue(Remote("git@host:config.git"), deadline=time.monotonic() + 60)

        with pytest.raises(FetchFailed, match="wants a private key"):
            dialogue.credentials("ssh://git@host/config.git", "git", CredentialType.SSH_KEY)


class TestTrust:
    def test_a_certificate_is_believed_when_its_issuer_is_trusted(
        self, tmp_path: Path, repository: ConfigRepository, commit: str, empty: pygit2.Repository
    ) -> None:
        certificate = self_signed(tmp_path / "certificate.pem")
        with git_server(repository.path, certificate=certificate, credential=("robot", "token")) as server:
            remote = Remote(server.uri, Credential("robot", "token"), strict_host_keys=False)
            with pytest.raises(FetchFailed, match=r"the certificate of 127\.0\.0\.1 is not trusted"):
                remote.bring(empty)
            assert not server.passwords_seen
            assert not list(empty.references)

            prepare_git(timeout_seconds=5, state=tmp_path / "state", ca_file=certificate)

            assert remote.bring(empty)["refs/heads/main"] == commit

    def test_a_certificate_behind_a_proxy_that_is_not_trusted_is_refused_and_nothing_hangs(
        self, tmp_path: Path, repository: ConfigRepository, commit: str, empty: pygit2.Repository
    ) -> None:
        certificate = self_signed(tmp_path / "certificate.pem", "nobody.invalid")
        with git_server(repository.path, certificate=certificate) as server, tunnel_to(server.port) as (proxy, _):
            with pytest.raises(FetchFailed, match=r"the certificate of nobody\.invalid is not trusted"):
                Remote("https://nobody.invalid/config.git", proxy=proxy).bring(empty)

            assert not list(empty.references)

    @pytest.mark.parametrize(("strict", "valid", "believed"), [(True, True, True), (False, False, True)])
    def test_an_ssh_host_is_believed_if_it_is_known_or_if_that_is_switched_off(
        self, strict: bool, valid: bool, believed: bool
    ) -> None:
        dialogue = RemoteDialogue(Remote("git@host:config.git", strict_host_keys=strict), time.monotonic() + 60)

        assert dialogue.certificate_check(None, valid, b"host") is believed

    def test_an_ssh_host_that_is_not_known_is_refused(self) -> None:
        dialogue = RemoteDialogue(Remote("git@host:config.git"), time.monotonic() + 60)

        with pytest.raises(FetchFailed, match="the key of host is not the one in the known hosts file"):
            dialogue.certificate_check(None, False, b"host")


class TestDeadline:
    def test_a_download_that_drips_is_given_up(self) -> None:
        dialogue = RemoteDialogue(Remote("https://host/config.git"), deadline=time.monotonic() - 1)

        with pytest.raises(FetchFailed, match="took longer than 600 s"):
            dialogue.transfer_progress(None)
        with pytest.raises(FetchFailed, match="took longer than 600 s"):
            dialogue.sideband_progress("")


class TestIsRemote:
    @pytest.mark.parametrize(
        "uri", ["https://host/a.git", "http://host:1/a", "ssh://git@host/a", "git@host:a/b.git", "host:a.git"]
    )
    def test_these_are_on_another_machine(self, uri: str) -> None:
        assert is_remote(uri)

    @pytest.mark.parametrize("uri", ["/srv/a.git", "file:///srv/a.git", "./a:b", "a.git", "~/a:b", "some/a:b"])
    def test_these_are_here(self, uri: str) -> None:
        assert not is_remote(uri)

    @pytest.mark.parametrize("uri", ["git://host/a.git", "ftp://host/a", "https:///a", "ext::sh://x"])
    def test_other_ways_are_not_taken(self, uri: str) -> None:
        with pytest.raises(RepositoryUnusable):
            is_remote(uri)


class TestWithoutUserInfo:
    @pytest.mark.parametrize(
        ("uri", "shown", "username", "password"),
        [
            ("https://me:p%40ss@host:1/a.git", "https://host:1/a.git", "me", "p@ss"),
            ("https://token@host/a.git", "https://host/a.git", "token", ""),
            ("ssh://git:secret@host/a.git", "ssh://git@host/a.git", "git", "secret"),
            ("git@host:a.git", "git@host:a.git", "", ""),
            ("/srv/a@b.git", "/srv/a@b.git", "", ""),
        ],
    )
    def test_user_and_password_are_taken_out(self, uri: str, shown: str, username: str, password: str) -> None:
        assert without_user_info(uri) == (shown, username, password)

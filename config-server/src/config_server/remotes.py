"""Repositories on other machines: how they are reached over https and ssh, and what they are shown and believed."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import ConfigLevel, CredentialType, Option
from pygit2.errors import AuthError, CertificateError

from .errors import FetchFailed, RepositoryUnusable

_SCP = re.compile(
    r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>(?!//).+)"
)  # `git@host:path`, ssh without a scheme
_LONGEST_FETCH_SECONDS = 600.0

# What is fetched lands beside the labels, which move when all of it is there.
FETCHED = "refs/fetched/"
_REFSPECS = [f"+refs/{kind}/*:{FETCHED}{kind}/*" for kind in ("heads", "tags")]


@dataclass(frozen=True, slots=True)
class Credential:
    """What is shown to a remote that asks who is there; a token is a password."""

    username: str = ""
    password: str = field(default="", repr=False)
    private_key_file: Path | None = None
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on another machine. `uri` has no secrets in it; `proxy` is an address, or None for the one that the
    environment names (HTTPS_PROXY, NO_PROXY).
    """

    uri: str
    credential: Credential = Credential()
    strict_host_keys: bool = True
    proxy: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The machine's name."""
        matched = None if "://" in self.uri else _SCP.fullmatch(self.uri)
        return matched["host"] if matched else urlsplit(self.uri).hostname or ""

    def bring(self, repository: pygit2.Repository) -> Mapping[str, str]:
        """Fetch all branches and tags below `refs/fetched/`, where they take no part yet.

        Answers what the remote has, `refs/heads/main` to its id, and `HEAD` to the name of the default branch. Raises
        FetchFailed.
        """
        remote = repository.remotes.create_anonymous(self.uri)
        proxy: str | Literal[True] = self.proxy or True
        deadline = time.monotonic() + _LONGEST_FETCH_SECONDS
        try:
            dialogue = RemoteDialogue(self, deadline)
            told = remote.list_heads(callbacks=dialogue, proxy=proxy)
            dialogue.check_trust()
            heads = {
                head.name: head.symref_target or "" if head.name == "HEAD" else str(head.oid)
                for head in told
                if head.name is not None
            }
            if not any(name.startswith("refs/heads/") for name in heads):
                # A forge that is being set up again answers so; to take its word would be to throw away everything.
                raise FetchFailed(f"{self.uri} has no branches.")
            have = {str(repository.references[name].target) for name in repository.references}
            if not {heads[name] for name in heads if name.startswith(("refs/heads/", "refs/tags/"))} <= have | {""}:
                dialogue = RemoteDialogue(self, deadline)
                remote.fetch(_REFSPECS, callbacks=dialogue, proxy=proxy)
                dialogue.check_trust()
        except FetchFailed:
            raise
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            raise FetchFailed(self._sentence(error)) from error
        return {
            name: target
            for name, target in heads.items()
            if name == "HEAD" or (name.startswith(("refs/heads/", "refs/tags/")) and not name.endswith("^{}"))
        }

    def _sentence(self, error: Exception) -> str:
        said = str(error)
        for secret in (self.credential.password, self.credential.passphrase, self.proxy):
            if secret:
                said = said.replace(secret, "***")
        if isinstance(error, AuthError):
            return f"{self.uri} does not accept the credential: {said}."
        if isinstance(error, CertificateError):
            return f"{self.uri} does not prove that it is {self.host}: {said}."
        return f"{self.uri} can't be fetched: {said}."


class RemoteDialogue(pygit2.RemoteCallbacks):
    """One connection: answers the questions that libgit2 asks on its way. Raises FetchFailed to end it."""

    def __init__(self, remote: Remote, deadline: float) -> None:
        super().__init__()
        self._remote = remote
        self._deadline = deadline
        self._shown: set[type[object]] = set()
        self._distrust: str | None = None

    # pygit2 declares it as a value or a function; it takes functions.
    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        """What to show for what is asked; each kind once, since libgit2 goes on asking while it is refused."""
        self.check_trust()
        ours = self._remote.credential
        # A redirection leads libgit2 to another machine, and it would tell that one the password.
        host = _host_of(url)
        if host != self._remote.host:
            raise FetchFailed(f"{self._remote.uri} redirects to {host}, which is not told the credential.")
        username = ours.username or username_from_url or "git"
        answer: pygit2.Username | pygit2.UserPass | pygit2.Keypair
        if allowed_types & CredentialType.SSH_KEY and ours.private_key_file is not None:
            answer = pygit2.Keypair(username, None, str(ours.private_key_file), ours.passphrase)
        elif allowed_types & CredentialType.USERPASS_PLAINTEXT and ours.password:
            answer = pygit2.UserPass(username, ours.password)
        elif allowed_types & CredentialType.USERNAME:
            answer = pygit2.Username(username)
        else:
            wanted = "a private key" if allowed_types & CredentialType.SSH_KEY else "a user and a password or token"
            raise FetchFailed(f"{self._remote.uri} wants {wanted}, and none is set.")
        if type(answer) in self._shown:
            raise FetchFailed(f"{self._remote.uri} does not accept the credential of {username}.")
        self._shown.add(type(answer))
        return answer

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        """Whether the other side is who it should be. pygit2's own answer would be yes to any ssh key at all."""
        if valid:
            return True
        if self._remote.uri.startswith(("http://", "https://")):
            # To refuse it here makes libgit2 1.9 wait for ever in a socket that it has closed, where a proxy is
            # between. So nothing is told to the other side (see `credentials`), and nothing that it says is taken.
            self._distrust = f"{self._remote.uri}: the certificate of {host.decode()} is not trusted."
            return True
        if self._remote.strict_host_keys:
            raise FetchFailed(f"{self._remote.uri}: the key of {host.decode()} is not the one in the known hosts file.")
        return True

    def check_trust(self) -> None:
        """Raises FetchFailed if the other side did not prove who it is."""
        if self._distrust is not None:
            raise FetchFailed(self._distrust)

    def transfer_progress(self, stats: object) -> None:
        self._check_time()

    def sideband_progress(self, string: str) -> None:
        self._check_time()

    def _check_time(self) -> None:
        # A timeout of libgit2's is for one silence; a remote that drips would take for ever.
        if time.monotonic() > self._deadline:
            raise FetchFailed(f"{self._remote.uri} took longer than {_LONGEST_FETCH_SECONDS:.0f} s and was given up.")


def is_remote(uri: str) -> bool:
    """Whether a repository is on another machine. Raises RepositoryUnusable for ways that are not taken."""
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https", "ssh"):
        if not urlsplit(uri).hostname:
            raise RepositoryUnusable(f"There is no host in the address of the Git repository, {scheme}://.")
        return True
    if "://" in uri and scheme != "file":
        raise RepositoryUnusable(f"A Git repository is read over https, ssh or from a path, not over {scheme}.")
    return scheme != "file" and not uri.startswith(("/", ".", "~")) and _SCP.fullmatch(uri) is not None


def is_same_host(uri: str, other: str) -> bool:
    """Whether two addresses lead to the same place on the same machine, so that one password is for both."""

    def place(address: str) -> tuple[str, str]:
        parts = urlsplit(address)
        with_port = parts.netloc.rpartition("@")[2].lower()
        return (parts.scheme, with_port) if "://" in address else ("ssh", Remote(address).host)

    return place(uri) == place(other)


def without_user_info(uri: str) -> tuple[str, str, str]:
    """An address that can be shown to anybody, and the user and the password that stood in it.

    Over ssh the user is part of the address and stays: everybody is `git` there.
    """
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri, "", ""
    info, _, host = parts.netloc.rpartition("@")
    username, _, password = info.partition(":")
    if parts.scheme == "ssh" and username:
        host = f"{username}@{host}"
    return urlunsplit(parts._replace(netloc=host)), unquote(username), unquote(password)


def prepare_git(
    *, timeout_seconds: float, state: Path, known_hosts_file: Path | None = None, ca_file: Path | None = None
) -> None:
    """Set what libgit2 has once for the whole process."""
    timeout = max(1, round(timeout_seconds * 1000))
    pygit2.option(Option.SET_SERVER_CONNECT_TIMEOUT, timeout)
    pygit2.option(Option.SET_SERVER_TIMEOUT, timeout)
    # A configuration of the user or the machine could send us elsewhere (url.*.insteadOf) or turn off checks.
    for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM):
        pygit2.settings.search_path[level] = ""
    pygit2.settings.enable_fsync_gitdir(True)
    if ca_file is not None:
        pygit2.settings.set_ssl_cert_locations(str(ca_file), None)
    if known_hosts_file is not None:
        # libgit2 reads `.ssh/known_hosts` of its home directory, and no other file.
        home = state / "home"
        link = home / ".ssh" / "known_hosts"
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        link.unlink(missing_ok=True)
        link.symlink_to(known_hosts_file.absolute())
        pygit2.option(Option.SET_HOMEDIR, str(home))


def _host_of(url: str) -> str:
    return Remote(url).host

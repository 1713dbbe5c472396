"""What the Git hosts' webhooks say, and whether they are who they say: signatures, tokens, deliveries seen before."""

import base64
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.problems import BadRequest, NotAllowed, Problem
from pydantic import SecretStr

# What a host that names no files is taken to mean: everybody.
_BROADCAST = ["application.yml"]

_MOST_PATHS = 1000
_MOST_DELIVERIES = 10_000

Headers = Mapping[str, str]  # looked up whatever the case of their names


class DeliveryRepeated(Problem):
    status = 409
    code = "delivery-repeated"
    title = "This delivery was taken before"


@dataclass(frozen=True, slots=True)
class Host:
    """One kind of Git host: how its webhooks are known, which of them tell of a push, and what proves them."""

    name: str
    event: str
    """The header that names the event."""
    pushes: frozenset[str]
    is_proved: Callable[[Headers, bytes, str, int], bool]
    proof: str
    """The headers that prove it, for people."""
    delivery: tuple[str, ...]
    """The headers that may name the delivery."""
    names_files: bool = True
    also: str = ""
    """A header that must be there, too."""

    def sent(self, headers: Headers) -> bool:
        return self.event in headers and (not self.also or self.also in headers)


def _is(given: str | None, expected: str) -> bool:
    return given is not None and hmac.compare_digest(given.strip().encode(), expected.encode())


def _signature_in(header: str, *, prefix: str = "") -> Callable[[Headers, bytes, str, int], bool]:
    """HMAC-SHA256 of the body in hexadecimal."""

    def is_proved(headers: Headers, body: bytes, secret: str, window_seconds: int) -> bool:
        return _is(headers.get(header), prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())

    return is_proved


def _gitlab_token(headers: Headers, body: bytes, secret: str, window_seconds: int) -> bool:
    return _is(headers.get("x-gitlab-token"), secret)


def _gitee_token(headers: Headers, body: bytes, secret: str, window_seconds: int) -> bool:
    """The password itself, or an HMAC of the time (in milliseconds) under it, whichever the hook is set to."""
    token, sent_at = headers.get("x-gitee-token"), headers.get("x-gitee-timestamp", "")
    signed = hmac.new(secret.encode(), f"{sent_at}\n{secret}".encode(), hashlib.sha256).digest()
    fresh = sent_at.isascii() and sent_at.isdigit() and abs(time.time() - int(sent_at[:16]) / 1000) <= window_seconds
    # Both are compared, so that the time it takes does not tell which of them failed.
    as_signature, as_password = _is(token, base64.b64encode(signed).decode()), _is(token, secret)
    return as_password or (as_signature and fresh)


_BITBUCKET_PUSHES = frozenset({"repo:push", "pullrequest:fulfilled", "repo:refs_changed", "pr:merged"})

# Gitea and Gogs send GitHub's headers, too, so they are looked for first.
HOSTS = (
    Host(
        "gitea",
        "x-gitea-event",
        frozenset({"push"}),
        _signature_in("x-gitea-signature"),
        "X-Gitea-Signature",
        ("x-gitea-delivery",),
        names_files=False,  # as Spring has it
    ),
    Host(
        "gogs",
        "x-gogs-event",
        frozenset({"push"}),
        _signature_in("x-gogs-signature"),
        "X-Gogs-Signature",
        ("x-gogs-delivery",),
    ),
    Host(
        "github",
        "x-github-event",
        frozenset({"push"}),
        _signature_in("x-hub-signature-256", prefix="sha256="),
        "X-Hub-Signature-256",
        ("x-github-delivery",),
    ),
    Host(
        "gitlab",
        "x-gitlab-event",
        frozenset({"Push Hook"}),
        _gitlab_token,
        "X-Gitlab-Token",
        ("x-gitlab-event-uuid", "idempotency-key"),
    ),
    Host(
        "gitee",
        "x-git-oschina-event",
        frozenset({"Push Hook"}),
        _gitee_token,
        "X-Gitee-Token",
        (),
    ),
    Host(
        "bitbucket",
        "x-event-key",
        _BITBUCKET_PUSHES,
        _signature_in("x-hub-signature", prefix="sha256="),
        "X-Hub-Signature",
        ("x-request-uuid",),
        names_files=False,
        also="x-hook-uuid",
    ),
    Host(
        "bitbucket",  # on a server of one's own
        "x-event-key",
        _BITBUCKET_PUSHES,
        _signature_in("x-hub-signature", prefix="sha256="),
        "X-Hub-Signature",
        ("x-request-id",),
        names_files=False,
        also="x-request-id",
    ),
)
HOST_NAMES = frozenset(host.name for host in HOSTS)


def host_of(headers: Headers) -> Host | None:
    """Whose webhook this is; None: nobody's, so that an admin has to have sent it."""
    return next((host for host in HOSTS if host.sent(headers)), None)


class Gatekeeper:
    """Lets a webhook in that proves itself, once within the window."""

    def __init__(self, secret: SecretStr, secrets: Mapping[str, SecretStr], *, window_seconds: int) -> None:
        self._secret = secret.get_secret_value()
        self._secrets = {name: own.get_secret_value() for name, own in secrets.items()}
        self._window_seconds = window_seconds
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def prove(self, host: Host, headers: Headers, body: bytes) -> None:
        """Raises NotAllowed with the reason."""
        secret = self._secrets.get(host.name) or self._secret
        if not secret:
            raise NotAllowed(
                f"Webhooks of {host.name} are not taken: neither CONFIG_SERVER_WEBHOOK_SECRET "
                f"nor {host.name} in CONFIG_SERVER_WEBHOOK_SECRETS is set."
            )
        if not host.is_proved(headers, body, secret, self._window_seconds):
            raise NotAllowed(f"{host.proof} is missing, or was not made with the webhook's secret.")

    def take_once(self, host: Host, headers: Headers, body: bytes) -> None:
        """Raises DeliveryRepeated for one that was taken before."""
        now = time.monotonic()
        while self._seen and (
            len(self._seen) > _MOST_DELIVERIES or next(iter(self._seen.values())) < now - self._window_seconds
        ):
            self._seen.popitem(last=False)
        # The delivery's id is no part of what is signed, so the body counts as well: it tells of each push but once.
        marks = [(host.name, headers[name]) for name in host.delivery if headers.get(name)]
        if headers[host.event] in host.pushes:
            marks.append((host.name, hashlib.sha256(body).hexdigest()))
        if any(mark in self._seen for mark in marks):
            raise DeliveryRepeated("This delivery was taken before, and nothing is done again.")
        self._seen.update(dict.fromkeys(marks, now))


def paths_pushed(host: Host, headers: Headers, document: Mapping[str, Any]) -> list[str]:
    """The files that a host's webhook says have changed; none where it tells of something else than a push.

    Raises BadRequest for a push that is none.
    """
    if headers[host.event] not in host.pushes:
        return []
    if not host.names_files:
        return _BROADCAST
    commits = document.get("commits", [])
    if not isinstance(commits, list) or not all(isinstance(commit, dict) for commit in commits):
        raise BadRequest("'commits' must be a list of objects.")
    return _texts(
        [
            path
            for commit in commits
            for kind in ("added", "removed", "modified")
            for path in _listed(commit.get(kind) or [])
        ]
    )


def paths_given(document: Mapping[str, Any]) -> list[str]:
    """The files of a body that somebody wrote by hand: `{"path": "a.yml"}` or `{"path": ["a.yml", "b.yml"]}`."""
    path = document.get("path")
    return _texts(path if isinstance(path, list) else [] if path is None else [path])


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest("'added', 'removed' and 'modified' must be lists of paths.")
    return value


def _texts(paths: list[Any]) -> list[str]:
    if not all(isinstance(path, str) for path in paths):
        raise BadRequest("A path must be a text.")
    # Who changes more than that concerns everybody.
    return list(dict.fromkeys(paths)) if len(paths) <= _MOST_PATHS else _BROADCAST

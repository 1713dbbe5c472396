"""Webhooks of Git hosts: what proves them, and which files they name."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from chassis.problems import BadRequest, NotAllowed
from pydantic import SecretStr
from starlette.datastructures import Headers

from config_server.webhooks import DeliveryRepeated, Gatekeeper, host_of, paths_given, paths_pushed

SECRET = "the webhook's secret"
PUSH = {
    "ref": "refs/heads/main",
    "commits": [
        {"id": "1", "added": ["new.yml"], "removed": ["old.yml"], "modified": []},
        {"id": "2", "added": [], "removed": [], "modified": ["order-service.yml", "new.yml"]},
    ],
}
FILES = ["new.yml", "old.yml", "order-service.yml"]
EVERYBODY = ["application.yml"]


def hexadecimal(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def gitee_signature(sent_at: str, secret: str = SECRET) -> str:
    return base64.b64encode(
        hmac.new(secret.encode(), f"{sent_at}\n{secret}".encode(), hashlib.sha256).digest()
    ).decode()


def milliseconds(seconds_ago: float = 0.0) -> str:
    return str(round((time.time() - seconds_ago) * 1000))


def signed(host: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers that a host sends with this body."""
    sent_at = milliseconds()
    return {
        "github": {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": "d-1",
            "X-Hub-Signature-256": f"sha256={hexadecimal(body, secret)}",
        },
        "gitlab": {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret, "X-Gitlab-Event-UUID": "d-1"},
        "gitee password": {
            "X-Git-Oschina-Event": "Push Hook",
            "X-Gitee-Token": secret,
            "X-Gitee-Timestamp": milliseconds(),
        },
        "gitee signature": {
            "X-Git-Oschina-Event": "Push Hook",
            "X-Gitee-Token": gitee_signature(sent_at, secret),
            "X-Gitee-Timestamp": sent_at,
        },
        "gogs": {
            "X-Gogs-Event": "push",
            "X-GitHub-Event": "push",
            "X-Gogs-Delivery": "d-1",
            "X-Gogs-Signature": hexadecimal(body, secret),
        },
        "gitea": {
            "X-Gitea-Event": "push",
            "X-Gogs-Event": "push",
            "X-GitHub-Event": "push",
            "X-Gitea-Delivery": "d-1",
            "X-Gitea-Signature": hexadecimal(body, secret),
        },
        "bitbucket cloud": {
            "X-Event-Key": "repo:push",
            "X-Hook-UUID": "{h}",
            "X-Request-UUID": "d-1",
            "X-Hub-Signature": f"sha256={hexadecimal(body, secret)}",
        },
        "bitbucket server": {
            "X-Event-Key": "repo:refs_changed",
            "X-Request-Id": "d-1",
            "X-Hub-Signature": f"sha256={hexadecimal(body, secret)}",
        },
    }[host]


HOSTS = {
    "github": ("github", FILES),
    "gitlab": ("gitlab", FILES),
    "gitee password": ("gitee", FILES),
    "gitee signature": ("gitee", FILES),
    "gogs": ("gogs", FILES),
    "gitea": ("gitea", EVERYBODY),
    "bitbucket cloud": ("bitbucket", EVERYBODY),
    "bitbucket server": ("bitbucket", EVERYBODY),
}
BODY = json.dumps(PUSH).encode()


def gatekeeper(secret: str = SECRET, **secrets: str) -> Gatekeeper:
    own = {name: SecretStr(value) for name, value in secrets.items()}
    return Gatekeeper(SecretStr(secret), own, window_seconds=3600)


def prove(keeper: Gatekeeper, headers: dict[str, str], body: bytes = BODY) -> None:
    host = host_of(Headers(headers))
    assert host is not None
    keeper.prove(host, Headers(headers), body)


def take(keeper: Gatekeeper, headers: dict[str, str], body: bytes = BODY) -> None:
    host = host_of(Headers(headers))
    assert host is not None
    keeper.take_once(host, Headers(headers), body)


@pytest.mark.parametrize("kind", HOSTS)
class TestEachHost:
    def test_is_known_by_its_headers_and_names_its_files(self, kind: str) -> None:
        name, files = HOSTS[kind]
        headers = Headers(signed(kind, BODY))

        host = host_of(headers)

        assert host is not None
        assert host.name == name
        assert paths_pushed(host, headers, PUSH) == files

    def test_is_let_in_with_its_proof(self, kind: str) -> None:
        prove(gatekeeper(), signed(kind, BODY))
        prove(gatekeeper("", **{HOSTS[kind][0]: SECRET}), signed(kind, BODY))

    def test_is_refused_with_a_proof_by_another_secret_or_none(self, kind: str) -> None:
        proofs = ("signature", "token")
        without = {name: value for name, value in signed(kind, BODY).items() if not name.lower().endswith(proofs)}
        without.pop("X-Hub-Signature-256", None)

        for headers in (signed(kind, BODY, "another secret"), signed(kind, BODY, ""), without):
            with pytest.raises(NotAllowed, match="missing, or was not made with the webhook's secret"):
                prove(gatekeeper(), headers)

    def test_is_refused_with_the_secret_of_all_where_it_has_its_own(self, kind: str) -> None:
        with pytest.raises(NotAllowed):
            prove(gatekeeper(SECRET, **{HOSTS[kind][0]: "its own"}), signed(kind, BODY))

    def test_is_refused_where_no_secret_is_set(self, kind: str) -> None:
        with pytest.raises(NotAllowed, match="CONFIG_SERVER_WEBHOOK_SECRET"):
            prove(gatekeeper(""), signed(kind, BODY, ""))

    def test_is_taken_once(self, kind: str) -> None:
        keeper = gatekeeper()
        take(keeper, signed(kind, BODY))

        with pytest.raises(DeliveryRepeated):
            take(keeper, signed(kind, BODY))
        again = signed(kind, BODY)
        for header in ("X-GitHub-Delivery", "X-Gitlab-Event-UUID", "X-Gogs-Delivery", "X-Gitea-Delivery"):
            again |= {header: "d-2"} if header in again else {}
        with pytest.raises(DeliveryRepeated):  # the id alone is nothing that somebody signed
            take(keeper, again)

    def test_tells_of_no_files_where_it_is_no_push(self, kind: str) -> None:
        headers = signed(kind, BODY)
        event = next(name for name in ("X-Gitea-Event", "X-Gogs-Event", "X-GitHub-Event", *headers) if name in headers)
        other = Headers(headers | {event: "ping"})

        host = host_of(other)

        assert host is not None
        assert paths_pushed(host, other, PUSH) == []


@pytest.mark.parametrize("kind", [kind for kind in HOSTS if not kind.startswith(("gitlab", "gitee"))])
def test_a_body_that_was_changed_on_the_way_is_refused(kind: str) -> None:
    with pytest.raises(NotAllowed):
        prove(gatekeeper(), signed(kind, BODY), BODY + b" ")


@pytest.mark.parametrize("sent_at", [milliseconds(7200), milliseconds(-7200), "", "yesterday", "9" * 5000, "²"])
def test_a_signature_of_gitee_is_good_for_an_hour(sent_at: str) -> None:
    headers = {
        "X-Git-Oschina-Event": "Push Hook",
        "X-Gitee-Token": gitee_signature(sent_at),
        "X-Gitee-Timestamp": sent_at,
    }
    with pytest.raises(NotAllowed):
        prove(gatekeeper(), headers)


@pytest.mark.parametrize("token", ["pässwörd", "\x80", ""])
def test_a_proof_of_odd_characters_is_only_wrong(token: str) -> None:
    with pytest.raises(NotAllowed):
        prove(gatekeeper(), {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": token})


def test_a_delivery_is_forgotten_after_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, now = gatekeeper(), time.monotonic()
    take(keeper, signed("github", BODY))
    monkeypatch.setattr(time, "monotonic", lambda: now + 3700)

    take(keeper, signed("github", BODY))


def test_what_nobody_knows_is_no_hosts() -> None:
    assert host_of(Headers({"X-Event-Key": "repo:push"})) is None
    assert host_of(Headers({})) is None


@pytest.mark.parametrize(
    "document",
    [
        {"commits": "all"},
        {"commits": ["x"]},
        {"commits": [{"added": "x.yml"}]},
        {"commits": [{"added": [1]}]},
        {"commits": [{"modified": {"a": 1}}]},
    ],
)
def test_a_push_that_is_none_is_a_bad_request(document: dict[str, Any]) -> None:
    headers = Headers({"X-GitHub-Event": "push"})
    host = host_of(headers)
    assert host is not None

    with pytest.raises(BadRequest):
        paths_pushed(host, headers, document)


def test_more_files_than_anybody_reads_concern_everybody() -> None:
    headers = Headers({"X-GitHub-Event": "push"})
    host = host_of(headers)
    assert host is not None

    assert paths_pushed(host, headers, {"commits": [{"added": [f"{n}.yml" for n in range(1001)]}]}) == EVERYBODY


def test_paths_written_by_hand_are_one_or_a_list() -> None:
    assert paths_given({"path": "a.yml"}) == ["a.yml"]
    assert paths_given({"path": ["a.yml", "b.yml", "a.yml"]}) == ["a.yml", "b.yml"]
    assert paths_given({}) == paths_given({"path": None}) == []
    for wrong in (1, [1], {"a": 1}):
        with pytest.raises(BadRequest):
            paths_given({"path": wrong})

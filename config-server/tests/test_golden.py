"""Promise C8: what a real Spring Cloud Config server answered is what this one answers."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repositories import ConfigRepository
from support.server import RunningServer, running

from config_server.media_types import V1, V2

_GOLDEN = Path(__file__).parent / "golden"
_RECORDED = json.loads((_GOLDEN / "cases.json").read_text())
_REPOSITORY = json.loads((_GOLDEN / "repository.json").read_text())

# Where we answer otherwise on purpose: the same status, but not the peer's page of HTML.
_NO_HTML = {"accept: Accept text/html", "label: slash encoded %2F"}


@pytest.fixture(scope="module")
def golden_repository(tmp_path_factory: pytest.TempPathFactory) -> ConfigRepository:
    repository = ConfigRepository(tmp_path_factory.mktemp("golden") / "config-repo.git")
    repository.replay(_REPOSITORY["steps"])
    return repository


@pytest.fixture(scope="module")
def golden_server(golden_repository: ConfigRepository) -> Iterator[RunningServer]:
    with running(
        git_uri=str(golden_repository.path),
        git_search_paths=",".join(_RECORDED["search_paths"]),
        git_default_label=_RECORDED["default_label"],
        anonymous="true",
        encrypt_key=_RECORDED["encrypt_key"],
        encrypt_salt=_RECORDED["encrypt_salt"],
    ) as server:
        yield server


def test_the_repository_is_the_recorded_one(golden_repository: ConfigRepository) -> None:
    made = {
        name: str(golden_repository.git.lookup_reference(name).target)
        for name in golden_repository.git.listall_references()
    }

    assert made == _REPOSITORY["refs"]


@pytest.mark.parametrize("case", _RECORDED["cases"], ids=lambda case: case["name"])
def test_the_answer_is_the_recorded_one(
    case: dict[str, Any], golden_server: RunningServer, golden_repository: ConfigRepository
) -> None:
    answer = golden_server.ask(case["path"], method=case["method"], headers=case.get("headers"), body=case.get("sent"))

    policy = case.get("policy")
    if policy == "refuse":
        assert 400 <= answer.status < 500
        assert b"root:" not in answer.body
        assert b"[core]" not in answer.body
        return
    if policy == "defect":
        assert answer.status >= 400
        assert answer.headers["x-config-reason"]
        return
    assert answer.status == case["status"]
    if policy == "state" or case["name"] in _NO_HTML:
        return
    assert answer.headers.get("content-type") == case.get("content_type")
    if policy == "random":
        assert answer.body
        return
    if case["method"] != "HEAD" and answer.status != 304:
        uri = str(golden_repository.path)
        recorded = case.get("body", "").replace("<repository>", uri).replace("<work folder>", uri)
        expected = base64.b64decode(case["body_base64"]) if "body_base64" in case else recorded.encode()
        # A file that is sent as it is has a charset with its type.
        is_yaml = re.search(r"\.ya?ml(?:\?|$)", case["path"]) and answer.headers.get("content-type") == "text/plain"
        comparable = _yaml if is_yaml else _json if expected.startswith(b"{") else _text
        assert comparable(answer.body) == comparable(expected)


@pytest.mark.parametrize(
    "path", sorted({case["path"] for case in _RECORDED["cases"] if case["name"].startswith("env-")})
)
def test_version_2_leads_to_the_same_values_as_version_1(path: str, golden_server: RunningServer) -> None:
    first, second = (golden_server.ask(path, headers={"Accept": accept}) for accept in (V1, V2))

    assert first.status == second.status
    if first.status == 200:
        plain = {key: value["value"] if isinstance(value, dict) else value for key, value in second.values().items()}
        assert list(plain.items()) == list(first.values().items())


def _json(body: bytes) -> object:
    """JSON with the order of its keys, without the time of an error and why it is one, which the peer does not say.

    The peer puts line breaks into strings.
    """
    pairs: list[tuple[str, object]] = json.loads(body, object_pairs_hook=list, strict=False)
    return [pair for pair in pairs if pair[0] not in ("timestamp", "message")]


def _yaml(body: bytes) -> object:
    """The data. The peer puts a value of two lines where it does not belong, so that its answer is no YAML."""
    return yaml.safe_load(body.replace(b"multiline: l1\nl2\n\n", b'multiline: "l1\\nl2\\n"\n'))


def _text(body: bytes) -> bytes:
    """Byte for byte; the peer shows where it keeps the bytes of a binary value, and not the bytes."""
    return re.sub(rb"\[B@[0-9a-f]+", b"aGVsbG8=", body)

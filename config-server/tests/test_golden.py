"""Promise C8: what a real Spring Cloud Config server answered is what this one answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running

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
    answer = golden_server.ask(case["path"], method=case["method"], headers=case.get("headers"))

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
    if case["method"] != "HEAD":
        uri = str(golden_repository.path)
        recorded = case.get("body", "").replace("<repository>", uri).replace("<work folder>", uri)
        assert _comparable(answer.body.decode()) == _comparable(recorded)


def _comparable(body: str) -> object:
    """JSON with the order of its keys, without the time of an error."""
    if not body.startswith("{"):
        return body
    pairs: list[tuple[str, object]] = json.loads(body, object_pairs_hook=list)
    return [pair for pair in pairs if pair[0] != "timestamp"]

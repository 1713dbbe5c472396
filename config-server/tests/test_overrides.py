"""What the server sets for everybody: stronger than every file, in every form."""

import json
from collections.abc import Iterator

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running

V2 = "application/vnd.spring-cloud.config-server.v2+json"
OVERRIDES = {"level": "DEBUG", "a": {"b": [True, 2]}, "later": "$\\{user.home:/}", "also.later": "\\${x}", "none": None}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = ConfigRepository(tmp_path_factory.mktemp("overrides") / "config.git")
    repository.commit({"shop.yml": "level: WARN\nown: 1\n", "shop-dev.yml": "level: INFO\n"})
    with running(git_uri=str(repository.path), anonymous="true", overrides=OVERRIDES) as server:
        yield server


def test_they_come_first_and_are_texts(server: RunningServer) -> None:
    first, *files = server.ask("/shop/dev").json()["propertySources"]

    assert first == {
        "name": "overrides",
        "source": {
            "level": "DEBUG",
            "a.b[0]": "true",
            "a.b[1]": "2",
            "later": "${user.home:/}",
            "also.later": "${x}",
            "none": "",
        },
    }
    assert [source["name"].rpartition("/")[2] for source in files] == ["shop-dev.yml", "shop.yml"]


def test_version_2_says_where_they_are_from(server: RunningServer) -> None:
    first = server.ask("/shop/dev", headers={"Accept": V2}).json()["propertySources"][0]

    assert first["source"]["level"] == {"value": "DEBUG", "origin": "Config server overrides"}


def test_they_win_in_the_flat_formats(server: RunningServer) -> None:
    answer = server.ask("/shop-dev.json").json()

    assert (answer["level"], answer["own"], answer["a"]) == ("DEBUG", 1, {"b": ["true", "2"]})


def test_whoever_has_no_files_gets_them_too(server: RunningServer) -> None:
    assert [source["name"] for source in server.ask("/nobody/dev").json()["propertySources"]] == ["overrides"]


def test_explain_names_them_as_the_winner(server: RunningServer) -> None:
    [explained] = server.ask("/explain/shop/dev?key=level").json()["keys"]

    assert explained["value"] == "DEBUG"
    assert "overrides" in json.dumps(explained)
    assert [lost["value"] for lost in explained["lost"]] == ["INFO", "WARN"]


def test_without_them_there_is_no_such_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    repository = ConfigRepository(tmp_path_factory.mktemp("plain") / "config.git")
    repository.commit({"shop.yml": "level: WARN\n"})
    with running(git_uri=str(repository.path), anonymous="true") as server:
        names = [source["name"] for source in server.ask("/shop/dev").json()["propertySources"]]

    assert [name.rpartition("/")[2] for name in names] == ["shop.yml"]

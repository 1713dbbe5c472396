"""Several repositories: which one a query is for, and what is done when it can't answer."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chassis.settings import SettingsInvalid
from support.git_server import git_server
from support.repositories import ConfigRepository
from support.server import RunningServer, running, running_whole

from config_server.choosing import Choice, Configurations
from config_server.queries import Query
from config_server.serving import ConfigurationService
from config_server.settings import Settings
from config_server.sources import GitRepository


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def repository(repository: ConfigRepository) -> ConfigRepository:
    repository.commit({"application.yml": "from: default\n"})
    return repository


@pytest.fixture
def team(tmp_path: Path) -> ConfigRepository:
    team = ConfigRepository(tmp_path / "team.git")
    team.commit({"application.yml": "from: team\n", "sub/application.yml": "sub: true\n", "a.txt": "team's\n"})
    return team


@pytest.fixture
def server(repository: ConfigRepository, team: ConfigRepository) -> Iterator[RunningServer]:
    repositories = {"team": {"uri": str(team.path), "pattern": "order*/prod*, payment", "search_paths": "sub"}}
    with running(git_uri=str(repository.path), git_repositories=repositories, anonymous="true") as server:
        yield server


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("/order-service/prod", "team"),
        ("/order-service/production", "team"),
        ("/order-service/dev", "default"),
        ("/order-service/prod,dev", "team"),
        ("/order-service/dev,prod", "team"),
        ("/payment/anything", "team"),
        ("/payment-service/prod", "default"),
        ("/other/prod", "default"),
        ("/order,other/prod", "team"),
        ("/other,order/prod", "default"),
    ],
)
def test_the_patterns_say_out_of_which_repository_it_is(server: RunningServer, path: str, chosen: str) -> None:
    for _again in range(2):  # put together, and at hand
        answer = server.ask(path)
        assert answer.values()["from"] == chosen
        assert ("sub" in answer.values()) == (chosen == "team")
        assert "x-config-stale" not in answer.headers


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a", ["a/dev"], ["ab/dev"]),
        ("*/prod", ["a/prod", "a/dev,prod", "a/prod,dev"], ["a/prod2"]),
        ("a?/[dp]*", [], ["ab/dev", "a/dev"]),
        ("", ["team/dev"], ["other/dev"]),
        ("*", ["a/b", "c/d"], []),
        ("a*b*c/*", ["axbxc/dev"], ["ab/dev", "a" * 900 + "/dev"]),
    ],
)
def test_a_star_is_any_text_and_a_name_without_pattern_is_the_application(
    repository: ConfigRepository, team: ConfigRepository, pattern: str, matching: list[str], others: list[str]
) -> None:
    def choice(name: str, of: ConfigRepository, patterns: list[str]) -> Choice:
        service = ConfigurationService(GitRepository(str(of.path)), default_label="main", search_paths=[])
        return Choice(name, service, lambda: None, patterns)

    configurations = Configurations(
        choice("default", repository, []),
        [choice("team", team, [pattern] if pattern else [])],
    )

    for path in [*matching, *others]:
        application, _, profile = path.partition("/")
        source = configurations.trace_environment(Query.of(application, profile, None))[0].sources[0]
        assert source.values["from"].value == ("team" if path in matching else "default"), path


def test_the_other_forms_and_the_explanation_come_out_of_the_same_repository(
    server: RunningServer, team: ConfigRepository
) -> None:
    assert b"from: team" in server.ask("/payment-dev.yml").body
    assert server.ask("/payment/dev/main/a.txt").body == b"team's\n"
    assert server.ask("/other/dev/main/a.txt").status == 404

    explained = server.ask("/explain/payment/dev?key=from").json()["keys"][0]

    assert explained["value"] == "team"
    assert explained["set_by"]["commit"] == str(team.git.references["refs/heads/main"].target)


def test_a_label_that_the_repository_does_not_have_is_looked_for_in_the_default_one(
    server: RunningServer, repository: ConfigRepository, team: ConfigRepository
) -> None:
    repository.commit({"application.yml": "from: default\n"}, branch="next")
    for _again in range(2):
        answer = server.ask("/payment/dev/next")
        assert answer.values() == {"from": "default"}
        assert "x-config-stale" not in answer.headers
    assert server.ask("/payment/dev/nowhere").status == 404

    team.commit({"application.yml": "from: team\n"}, branch="next")

    assert server.ask("/payment/dev/next").values()["from"] == "team"


def test_a_broken_commit_leaves_the_last_good_one_of_the_same_repository(
    server: RunningServer, team: ConfigRepository
) -> None:
    assert server.ask("/payment/dev").values()["from"] == "team"
    team.commit({"application.yml": "from: [\n"})

    answer = server.ask("/payment/dev")

    assert answer.values()["from"] == "team"
    assert answer.headers["x-config-stale"] == "true"


def test_where_there_was_none_the_default_one_answers_and_says_so(
    server: RunningServer, team: ConfigRepository
) -> None:
    team.commit({"application.yml": "from: [\n"})

    answer = server.ask("/payment/dev")

    assert answer.values() == {"from": "default"}
    assert answer.headers["x-config-stale"] == "true"


def test_one_on_another_machine_is_fetched_watched_and_told_of_by_itself(
    repository: ConfigRepository, team: ConfigRepository
) -> None:
    with git_server(team.path, credential=("robot", "s3cret")) as remote:
        remote.fault = "refuse"
        repositories = {"team": {"uri": remote.uri.replace("//", "//robot:s3cret@"), "pattern": "payment"}}
        with running_whole(
            git_uri=str(repository.path),
            git_repositories=repositories,
            git_fetch_seconds="0.05",
            git_stale_after_seconds="0.5",
            anonymous="true",
        ) as server:
            wait_until(lambda: b"503" in server.ask("/actuator/health").body)
            readiness = server.ask("/actuator/health/readiness")
            assert readiness.status == 503
            assert readiness.json()["components"]["repository"]["status"] == "UP"
            assert "not been cloned" in readiness.json()["components"]["repository team"]["details"]["error"]
            answer = server.ask("/payment/dev")
            assert (answer.values(), answer.headers["x-config-stale"]) == ({"from": "default"}, "true")
            assert server.ask("/payment/dev/v1").status == 503  # it may well be there

            remote.heal()
            wait_until(lambda: server.ask("/payment/dev").values() == {"from": "team"})
            assert server.ask("/actuator/health/readiness").status == 200

            remote.fault = "refuse"
            wait_until(lambda: "x-config-stale" in server.ask("/payment/dev").headers)
            assert "x-config-stale" not in server.ask("/other/dev").headers
            assert b'config_server_fetch_stale{repository="team"} 1.0' in server.ask("/actuator/prometheus").body


class TestSettings:
    def of(self, entry: object, **more: object) -> Settings:
        fields = {"git_uri": "https://robot:s3cret@host/a.git", "anonymous": True, "git_repositories": {"team": entry}}
        return Settings.of({f"config-server.{k.replace('_', '-')}": v for k, v in (fields | more).items()})

    def test_the_password_is_inherited_on_the_same_host_alone(self) -> None:
        same = self.of({"uri": "https://host/b.git"}).of_repository("team").remote()
        other = self.of({"uri": "https://elsewhere/b.git"}).of_repository("team").remote()
        own = self.of({"uri": "https://me:mine@host/b.git"}).of_repository("team").remote()

        assert same is not None
        assert other is not None
        assert own is not None
        assert (same.credential.username, same.credential.password) == ("robot", "s3cret")
        assert (other.credential.username, other.credential.password) == ("", "")
        assert (own.credential.username, own.credential.password) == ("me", "mine")
        assert own.uri == "https://host/b.git"

    def test_the_environment_has_them_as_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = '{"team": {"uri": "/b", "pattern": "a*/dev, b", "search_paths": ["x/", "y"]}}'
        monkeypatch.setenv("CONFIG_SERVER_GIT_REPOSITORIES", entry)

        settings = Settings.of({"config-server.git-uri": "/a", "config-server.anonymous": True})

        assert settings.git_repositories["team"].pattern == ["a*/dev", "b"]
        assert settings.of_repository("team").git_search_paths == ["x", "y"]

    def test_passwords_are_among_the_secrets(self) -> None:
        settings = self.of({"uri": "https://me:m1ne@host/b.git"})

        assert ("CONFIG_SERVER_GIT_REPOSITORIES (team)", "m1ne") in list(settings.secrets())
        assert "m1ne" not in repr(settings)

    @pytest.mark.parametrize(
        ("repositories", "sentence"),
        [
            ({"team": {}}, "uri"),
            ({"team": {"uri": "git://host/a"}}, "team: .*not over git"),
            ({"team": {"uri": "/a", "urn": "/b"}}, "urn"),
            ({"team": {"uri": "/a", "search_paths": "../b"}}, "leads out"),
            ({"a b": {"uri": "/a"}}, "a b"),
            ({"default": {"uri": "/a"}}, "default is the one of"),
            ({"team": {"uri": "http://host/a", "proxy": "http://proxy"}}, "team: .*only for https"),
        ],
    )
    def test_what_can_not_work_is_said_at_the_start(self, repositories: object, sentence: str) -> None:
        with pytest.raises(SettingsInvalid, match=sentence):
            self.of({}, git_repositories=repositories)

    def test_one_that_is_not_there_is_named(self, repository: ConfigRepository) -> None:
        repositories = {"team": {"uri": "/nowhere"}}
        with (
            pytest.raises(
                SettingsInvalid, match=r"no Git repository at /nowhere\. CONFIG_SERVER_GIT_REPOSITORIES, team"
            ),
            running(git_uri=str(repository.path), anonymous="true", git_repositories=repositories),
        ):
            pass

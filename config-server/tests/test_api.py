"""The server over HTTP: what it serves, what it refuses, and what it does when the repository breaks."""

import shutil
from collections.abc import Iterator

import pygit2
import pytest
from chassis.config_client import ConfigClient
from pygit2.enums import ObjectType
from support.repositories import ConfigRepository
from support.server import RunningServer, running

V2 = "application/vnd.spring-cloud.config-server.v2+json"


@pytest.fixture(scope="module")
def steady_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over a repository that does not change."""
    repository = ConfigRepository(tmp_path_factory.mktemp("steady") / "config.git")
    repository.commit({"app.yml": "a: 1\n"})
    repository.commit({"app.yml": "a: 2\n"})
    with running(git_uri=str(repository.path), anonymous="true") as server:
        yield server


class TestFindEnvironment:
    def test_a_service_gets_its_files_over_the_shared_ones(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        commit = repository.commit(
            {
                "application.yml": "level: shared\nshared: 1\n",
                "application-dev.yml": "level: shared-dev\n",
                "order-service.yml": "level: own\nlist: [a, b]\n",
                "order-service-dev.yml": "level: own-dev\n",
                "payment-service.yml": "level: another\n",
            }
        )

        answer = server.ask("/order-service/dev")

        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["version"] == commit
        assert answer.files() == [
            "order-service-dev.yml",
            "application-dev.yml",
            "order-service.yml",
            "application.yml",
        ]
        assert answer.values() == {"level": "own-dev", "shared": 1, "list[0]": "a", "list[1]": "b"}

    def test_files_of_the_profile_default_count_where_no_other_is_asked_for(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n", "app-default.yml": "a: 2\n"})

        assert server.ask("/app/default").values() == {"a": 2}
        assert server.ask("/app/dev").values() == {"a": 1}

    def test_a_new_commit_is_served_at_once(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        assert server.ask("/app/default").values() == {"a": 1}

        commit = repository.commit({"app.yml": "a: 2\n"})

        answer = server.ask("/app/default")
        assert (answer.json()["version"], answer.values()) == (commit, {"a": 2})

    def test_a_commit_is_served_as_it_was(self, repository: ConfigRepository, server: RunningServer) -> None:
        old = repository.commit({"app.yml": "a: 1\n"})
        repository.commit({"app.yml": "a: 2\n"})

        assert server.ask(f"/app/default/{old}").values() == {"a": 1}
        assert server.ask(f"/app/default/{old[:8]}").values() == {"a": 1}

    @pytest.mark.parametrize(
        "label", ["x", "refs(_)heads(_)x", "heads(_)x", "origin(_)x", "v1", "tags(_)v1", "refs(_)tags(_)v1", "nested"]
    )
    def test_a_label_is_a_branch_or_a_tag_by_any_of_its_names(
        self, label: str, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: main\n"})
        commit = repository.commit({"app.yml": "a: x\n"}, branch="x")
        author = pygit2.Signature("A", "a@example.test")
        repository.git.create_tag("v1", commit, ObjectType.COMMIT, author, "one")
        repository.git.create_tag(
            "nested", repository.git.references["refs/tags/v1"].target, ObjectType.TAG, author, ""
        )

        assert server.ask(f"/app/default/{label}").values() == {"a": "x"}

    def test_of_several_applications_and_labels_the_last_is_the_strongest(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        first = repository.commit({"a.yml": "k: a\n", "b.yml": "k: b\n"})
        second = repository.commit({"a.yml": "k: a2\n"}, branch="x")

        assert server.ask("/a,b,/default").values() == {"k": "b"}
        assert server.ask("/b,a/default").values() == {"k": "a"}
        both = server.ask("/a/default/main,x")
        assert (both.values(), both.json()["version"]) == ({"k": "a2"}, f"{first},{second}")
        assert server.ask("/a/default/x,main").values() == {"k": "a"}
        assert server.ask("/a/default/main,none").status == 404

    def test_profiles_of_a_file_and_its_includes_count(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit(
            {
                "app.yml": "spring.profiles.include: [extra]\n---\n"
                "spring.config.activate.onProfile: 'extra & !qa'\nfrom: document\n",
                "app-extra.yml": "more: 1\n",
                "app-bad.yml": "spring.profiles.active: other\n",
            }
        )

        assert server.ask("/app/dev").values()["from"] == "document"
        assert server.ask("/app/dev").files()[0] == "app-extra.yml"
        assert "from" not in server.ask("/app/qa").values()
        assert server.ask("/app/default").values() == {"spring.profiles.include[0]": "extra"}
        assert server.ask("/app/bad").status == 404

    def test_master_is_served_where_there_is_no_main(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"}, branch="master")

        assert server.ask("/app/default").values() == {"a": 1}

    def test_a_branch_comes_before_a_tag_of_the_same_name(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.git.references.create("refs/tags/x", repository.commit({"app.yml": "a: tag\n"}))
        repository.commit({"app.yml": "a: branch\n"}, branch="x")

        assert server.ask("/app/default/x").values() == {"a": "branch"}

    def test_search_paths_are_searched_in_order_with_patterns_and_placeholders(
        self, repository: ConfigRepository
    ) -> None:
        repository.commit(
            {
                "app.yml": "a: root\n",
                "teams/red/app.yml": "a: red\n",
                "teams/blue/app.yml": "b: blue\n",
                "app/app.yml": "c: own folder\n",
                "at/main/app.yml": "d: label\n",
                "in/dev/app.yml": "e: profile\n",
            }
        )
        paths = "teams/*,{application},at/{label},./in/{profile}/"

        with running(git_uri=str(repository.path), git_search_paths=paths, anonymous="true") as server:
            answer = server.ask("/app/dev")

        assert answer.files() == [
            "in/dev/app.yml",
            "at/main/app.yml",
            "app/app.yml",
            "teams/red/app.yml",
            "teams/blue/app.yml",
            "app.yml",
        ]

    def test_imports_stay_in_the_commit_and_rank_above_their_importer(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit(
            {
                "app.yml": "a: own\nspring.config.import: 'parts/one.yml,optional:none.yml,optional:file:/etc/hosts'\n",
                "parts/one.yml": "a: one\nspring.config.import: two.yml\n",
                "parts/two.yml": "a: two\nspring.config.import: one.yml\n",
                "parts/one-dev.yml": "a: one-dev\n",
                "application-dev.yml": "b: 1\n",
            }
        )

        assert server.ask("/app/dev").files() == [
            "application-dev.yml",
            "parts/one-dev.yml",
            "parts/two.yml",
            "parts/one.yml",
            "app.yml",
        ]

    @pytest.mark.parametrize("wanted", ["file:/etc/passwd", "/etc/passwd.yml", "../x.yml", "none.yml", "app"])
    def test_an_import_from_elsewhere_is_an_error(
        self, wanted: str, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": f"spring.config.import: '{wanted}'\n"}, branch="x")

        answer = server.ask("/app/default/x")

        assert answer.status == 500
        assert wanted in answer.json()["message"]

    def test_version_2_tells_where_each_value_stands(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a:\n  b: 1\n"})

        answer = server.ask("/app/default", headers={"Accept": V2})

        assert answer.headers["content-type"] == V2
        assert answer.json()["propertySources"][0]["source"] == {"a.b": {"value": 1, "origin": "2:6"}}

    def test_the_chassis_reads_its_settings_from_here(
        self, repository: ConfigRepository, server: RunningServer, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        repository.commit({"application.yml": "url: ${URL}\nlist: [a, b, c]\n", "app.yml": "list: [z]\nn: 1\n"})

        client = ConfigClient(
            f"http://127.0.0.1:{server.port}",
            "app",
            "default",
            state_dir=tmp_path_factory.mktemp("state"),
            environ={"URL": "http://x"},
        )

        assert client.fetch() == {"url": "http://x", "list[0]": "z", "n": 1}


class TestUnchangedAnswers:
    def test_who_has_the_answer_is_told_so(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        tag = server.ask("/app/default").headers["etag"]

        again = server.ask("/app/default", headers={"If-None-Match": tag})
        repository.commit({"app.yml": "a: 2\n"})
        changed = server.ask("/app/default", headers={"If-None-Match": tag})

        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert (changed.status, changed.values()) == (200, {"a": 2})

    def test_the_two_versions_have_tags_of_their_own(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})

        first, second = (server.ask("/app/default", headers={"Accept": accept}) for accept in ("*/*", V2))

        assert first.headers["etag"] != second.headers["etag"]
        assert first.headers["vary"] == second.headers["vary"] == "Accept"


class TestRefusals:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/app",
            "/app/default/",
            "/actuator/env",
            "/actuator/health/app",
            "/health/default",
            "/docs/default",
            "/app/default.yml",
            "/app/default/none",
            "/app/default/main~1",
            "/app/default/HEAD%5E",
            "/app/dev,",
            "/app/-dev",
            "/app/d%C3%A9v",
        ],
    )
    def test_what_is_not_there_is_404_with_a_reason(self, path: str, steady_server: RunningServer) -> None:
        answer = steady_server.ask(path)

        assert answer.status == 404
        assert set(answer.json()) == {"timestamp", "status", "error", "path"}
        assert answer.json()["path"] == path.partition("?")[0]
        assert answer.headers["x-config-reason"]

    @pytest.mark.parametrize(
        "path",
        [
            "/app%2Fx/default",
            "/app%5Cx/default",
            "/app%00/default",
            "/app;x=1/default",
            "/./default",
            "/%2e%2e/default",
            "/app/..",
            "/app/default/..",
            "/..(_)app/default",
            "/a(_)..(_)app/default",
            "/(_)app/default",
            "/app(_)/default",
            "/,/default",
            "/app/default/main,,x",
            "/.git(_)config/default",
            "/app%23/default",
            "/app%252F/default",
            "/%7Bprofile%7D/default",
            "/a*/default",
            "/app/default/..(_)x",
            "/app/default/(_)x",
            "/app/default/x%2Fy",
            "/app/default/%0a",
            "/app/default/main@%7B0%7D",
            f"/{'a' * 1001}/default",
            f"/{','.join('a' * 21)}/default",
            f"/app/{','.join('a' * 21)}",
        ],
    )
    def test_a_name_that_can_be_none_is_400_with_a_message(self, path: str, steady_server: RunningServer) -> None:
        answer = steady_server.ask(path)

        assert answer.status == 400
        assert answer.json()["message"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_nothing_can_be_written(self, method: str, steady_server: RunningServer) -> None:
        answer = steady_server.ask("/app/default", method=method, headers={"Content-Length": "0"})

        assert (answer.status, answer.headers["allow"]) == (405, "GET")

    def test_a_symbolic_link_is_never_followed(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"real.yml": "a: 1\n", "folder/app.yml": "a: 2\n"})
        repository.add_link("app.yml", "real.yml")
        repository.add_link("app.properties", "/etc/passwd")

        assert server.ask("/app/default").json()["propertySources"] == []

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("a: " + "x" * 1_048_576, "larger than"),
            ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
            ), "expands to more than"),
            ("a: &a [*a]\n", "in itself"),
            ("a: &a {<<: *a}\n", "with itself"),
            ("a0: &a0 {k: 1}\n" + "".join(
                f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30)
            ), "expands to more than"),
            ("a: &a " + "x" * 10_000 + "\nb: [" + "*a," * 500 + "]\n", "characters"),
            ("? " + "k" * 10_000 + "\n: [" + "1," * 500 + "]\n", "characters"),
            ("a: [" + "1," * 50_001 + "]\n", "expands to more than 50000 values"),
            ("a: *b\n", "has no anchor"),
            ("[" * 1000 + "]" * 1000, "nested deeper"),
            ("a: !!python/object/apply:os.system ['true']\n", "not allowed"),
            (b"a: \xff\xfe\n", "not UTF-8"),
            ("a: \x00\n", "not YAML"),
        ],
    )  # fmt: skip
    def test_a_file_that_is_an_attack_is_not_read(
        self, content: str | bytes, reason: str, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": content}, branch="x")

        answer = server.ask("/app/default/x")

        assert answer.status == 500
        assert reason in answer.json()["message"]
        assert "app.yml" in answer.json()["message"]


class TestBrokenCommits:
    def test_c4_a_broken_commit_leaves_the_last_good_one_served(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        good = repository.commit({"app.yml": "a: 1\n", "other.yml": "b: 1\n"})
        server.ask("/app/default")
        server.ask("/other/default")

        bad = repository.commit({"app.yml": "a: [1\nb: }\n", "other.yml": "b: 2\n"})

        for _ in range(2):
            answer = server.ask("/app/default")
            assert (answer.status, answer.headers["x-config-stale"]) == (200, "true")
            assert (answer.json()["version"], answer.values()) == (good, {"a": 1})
        unconcerned = server.ask("/other/default")
        assert (unconcerned.json()["version"], unconcerned.values()) == (bad, {"b": 2})
        assert "x-config-stale" not in unconcerned.headers
        assert _metric(server, 'config_server_stale_environments{repository="default"}') == 1

    def test_c4_a_profile_that_was_never_asked_for_before_is_served_as_well(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n", "app-dev.yml": "a: 2\n"})
        server.ask("/app/default")

        repository.commit({"app.yml": "a: ]\n"})

        assert server.ask("/app/dev").values() == {"a": 2}

    def test_a_commit_that_mends_it_is_served_at_once(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        server.ask("/app/default")
        repository.commit({"app.yml": "a: ]\n"})
        server.ask("/app/default")

        repository.commit({"app.yml": "a: 3\n"})

        answer = server.ask("/app/default")
        assert answer.values() == {"a": 3}
        assert "x-config-stale" not in answer.headers
        assert _metric(server, 'config_server_stale_environments{repository="default"}') == 0

    def test_without_a_good_commit_the_default_label_is_404_with_file_line_and_column(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\nb: }\n"})

        answer = server.ask("/app/default")

        assert answer.status == 404
        assert "app.yml, line 2, column 4" in answer.headers["x-config-reason"]

    def test_without_a_good_commit_another_label_is_500_with_file_line_and_column(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\na: 2\n"}, branch="x")

        answer = server.ask("/app/default/x")

        assert answer.status == 500
        assert "app.yml, line 2, column 1" in answer.json()["message"]

    def test_c3_a_repository_that_vanishes_leaves_the_last_answers_served(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        server.ask("/app/default")
        assert server.ask("/actuator/health/readiness").status == 200

        shutil.rmtree(repository.path)

        answer = server.ask("/app/default")
        assert (answer.values(), answer.headers["x-config-stale"]) == ({"a": 1}, "true")
        assert server.ask("/another/default").status == 503
        assert server.ask("/actuator/health/readiness").status == 503

    def test_c3_a_commit_whose_objects_are_missing_leaves_the_last_answers_served(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        good = repository.commit({"app.yml": "a: 1\n"})
        server.ask("/app/default")
        repository.commit({"app.yml": "a: 2\n"})

        blob = str(pygit2.hash(b"a: 2\n"))
        (repository.path / "objects" / blob[:2] / blob[2:]).unlink()

        answer = server.ask("/app/default")
        assert (answer.json()["version"], answer.headers["x-config-stale"]) == (good, "true")
        assert server.ask("/app/dev").status == 503

    def test_a_repository_that_comes_back_is_served(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        server.ask("/app/default")
        shutil.rmtree(repository.path)
        server.ask("/app/default")

        ConfigRepository(repository.path).commit({"app.yml": "a: 2\n"})

        assert server.ask("/app/default").values() == {"a": 2}
        assert server.ask("/actuator/health/readiness").status == 200

    def test_an_empty_repository_is_not_ready_and_becomes_so(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        assert server.ask("/actuator/health/readiness").status == 503
        assert server.ask("/app/default").status == 404

        repository.commit({"app.yml": "a: 1\n"})

        assert server.ask("/actuator/health/readiness").status == 200


def _metric(server: RunningServer, name: str) -> float:
    lines = server.ask("/actuator/prometheus").body.decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

"""The flat formats, over HTTP; tests/test_golden.py has what a real server answers."""

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer


class TestFlatFormats:
    def test_an_unchanged_answer_is_not_sent_again(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        first = server.ask("/app-default.yml")

        again = server.ask("/app-default.yml", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})

        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]

    def test_a_commit_that_changes_nothing_here_keeps_the_tag(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        tag = server.ask("/app-default.yml").headers["etag"]

        repository.commit({"other.yml": "b: 1\n"})
        same = server.ask("/app-default.yml", headers={"If-None-Match": tag})
        repository.commit({"app.yml": "a: 2\n"})
        changed = server.ask("/app-default.yml", headers={"If-None-Match": tag})

        assert same.status == 304
        assert changed.body == b"a: 2\n"

    def test_a_cycle_is_400_and_says_which(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: ${b}\nb: ${a}\n"})

        answers = [server.ask(f"/app-default.{extension}") for extension in ("yml", "json", "properties")]

        assert [answer.status for answer in answers] == [400, 400, 400]
        assert all("leads back to itself" in answer.json()["message"] for answer in answers)

    def test_keys_that_contradict_each_other_are_500_and_named(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "n:\n  1: a\n  b: c\n"})

        answer = server.ask("/app-default.json")

        assert answer.status == 500
        assert "n[1]" in answer.json()["message"]

    @pytest.mark.parametrize(
        ("file", "shown"),
        [("- a\n- b: 1\n", b"- a\n- b: 1\n"), ("just text\n", b"just text\n"), ("12\n", b"'12'\n")],
    )
    def test_a_document_that_is_no_map_stands_alone_in_yaml(
        self, file: str, shown: bytes, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": file})

        assert server.ask("/app-default.yml").body.removesuffix(b"...\n") == shown

    def test_a_broken_commit_leaves_the_last_good_one(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        server.ask("/app-default.json")

        repository.commit({"app.yml": "a: [\n"})
        answer = server.ask("/app-default.json")

        assert answer.body == b'{"a":1}'
        assert answer.headers["x-config-stale"] == "true"

    @pytest.mark.parametrize("path", ["/app-default.yml", "/main/app-default.properties"])
    def test_only_reading_is_allowed(self, path: str, server: RunningServer) -> None:
        assert server.ask(path, method="POST", body="x").status == 405
        assert server.ask(path, method="OPTIONS").headers["allow"] == "GET,HEAD,OPTIONS"

    def test_any_value_of_any_type_is_written_as_java_does(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: [1e10, 1.0e-5, 12345678.9, 0.001, -0.0, .inf, !!binary aGk=, true]\n"})

        assert server.ask("/app-default.properties").body.decode().splitlines() == [
            "a[0]: 1.0E10",
            "a[1]: 1.0E-5",
            "a[2]: 1.23456789E7",
            "a[3]: 0.001",
            "a[4]: -0.0",
            "a[5]: Infinity",
            "a[6]: aGk=",
            "a[7]: true",
        ]

"""Explain: who sets a key, who lost, and by which rule."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.repositories import ConfigRepository, Files
from support.server import Answer, RunningServer, running

from config_server.documents import Value
from config_server.environments import PropertySource, Trace, TracedEnvironment
from config_server.explain import Explainer
from config_server.precedence import Candidate

_GOLDEN = Path(__file__).parent / "golden"
_RECORDED = json.loads((_GOLDEN / "cases.json").read_text())

_HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def _explained(server: RunningServer, path: str) -> dict[str, Any]:
    answer = server.ask(path)
    assert answer.status == 200, answer.body
    explanation: dict[str, Any] = answer.json()
    return explanation


def _key(explanation: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(explained for explained in explanation["keys"] if explained["key"] == key)
    return found


class TestWhoSetsAKey:
    def test_the_file_the_place_and_the_commit_are_named(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        commit = repository.commit({"application.yml": "a:\n  b: shared\n", "app.yml": "# mine\na:\n  b: own\n"})

        explained = _key(_explained(server, "/explain/app/default?key=a.b"), "a.b")

        assert explained["value"] == "own"
        assert explained["set_by"] == {
            "file": "app.yml",
            "document": None,
            "line": 3,
            "column": 6,
            "label": "main",
            "commit": commit,
            "profile": None,
            "imported_by": None,
        }

    @pytest.mark.parametrize(
        ("files", "path", "winner", "rule", "why"),
        [
            (
                {"app.yml": "k: 1\n", "application-dev.yml": "k: 2\n"},
                "/explain/app/dev",
                "application-dev.yml",
                "profile",
                "what is for a profile (dev) is stronger than what is for none",
            ),
            (
                {"app-dev.yml": "k: 1\n", "app-eu.yml": "k: 2\n"},
                "/explain/app/dev,eu",
                "app-eu.yml",
                "profile",
                "of the profiles, eu comes after dev, and the last is the strongest",
            ),
            (
                {"app.yml": "k: 1\n", "app/application.yml": "k: 2\n"},
                "/explain/app/default",
                "app/application.yml",
                "folder",
                "the folder app/ is searched after the root, and of the folders the last is the strongest",
            ),
            (
                {"application.yml": "k: 1\n", "app.yml": "k: 2\n"},
                "/explain/app/default",
                "app.yml",
                "name",
                "app is stronger than application: shared files first, then the applications in turn",
            ),
            (
                {"app.yml": "k: 1\n", "app.properties": "k=2\n"},
                "/explain/app/default",
                "app.properties",
                "extension",
                "in one folder .properties is stronger than .yml",
            ),
            (
                {"app.yml": "k: 1\n---\nk: 2\n"},
                "/explain/app/default",
                "app.yml",
                "document",
                "of the documents of a file, the later is the stronger",
            ),
            (
                {"app.yml": "k: 1\nspring.config.import: more.yml\n", "more.yml": "k: 2\n"},
                "/explain/app/default",
                "more.yml",
                "import",
                "more.yml is imported by app.yml, and stronger than what imports it",
            ),
            (
                {"app.yml": "spring.config.import: more.yml\n---\nk: 2\n", "more.yml": "k: 1\n"},
                "/explain/app/default",
                "app.yml",
                "document",
                "more.yml is imported by a document of app.yml that comes before this one",
            ),
            (
                {
                    "application.yml": "k: 1\nspring.config.import: more.yml\n",
                    "more.yml": "k: 3\n",
                    "app.yml": "k: 2\n",
                },
                "/explain/app/default",
                "app.yml",
                "name",
                (
                    "app is stronger than application: shared files first, then the applications in turn "
                    "(more.yml has the place of application.yml, which imports it)"
                ),
            ),
        ],
        ids=["profile", "profiles", "folder", "name", "extension", "document", "import", "importer", "imported name"],
    )
    def test_the_rule_by_which_another_lost_is_told(
        self, files: Files, path: str, winner: str, rule: str, why: str, repository: ConfigRepository
    ) -> None:
        repository.commit(files)

        with running(git_uri=str(repository.path), git_search_paths="{application}", anonymous="true") as server:
            explained = _key(_explained(server, path), "k")
            served = server.ask(path.removeprefix("/explain")).values()

        assert str(explained["value"]) == str(served["k"]) == "2"
        assert explained["set_by"]["file"] == winner
        assert (explained["lost"][0]["rule"], explained["lost"][0]["why"]) == (rule, why)

    def test_of_two_labels_the_last_wins(self, repository: ConfigRepository, server: RunningServer) -> None:
        first = repository.commit({"app.yml": "k: 1\n"})
        repository.git.references.create("refs/heads/old", first)
        repository.commit({"app.yml": "k: 2\n"})

        explained = _key(_explained(server, "/explain/app/default/main,old"), "k")

        assert (explained["value"], explained["set_by"]["commit"]) == (1, first)
        assert explained["lost"][0]["rule"] == "label"

    def test_an_element_of_a_weaker_list_counts_for_nothing(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"application.yml": "flags: [a, b]\n", "app.yml": "flags: [c]\n"})

        explanation = _explained(server, "/explain/app/default?key=flags")

        assert _key(explanation, "flags[0]")["value"] == "c"
        replaced = _key(explanation, "flags[1]")
        assert replaced["set_by"] is None
        assert [(lost["value"], lost["rule"]) for lost in replaced["lost"]] == [("b", "list")]
        assert "app.yml has a stronger one" in replaced["lost"][0]["why"]

    @pytest.mark.parametrize(
        ("wanted", "keys"),
        [
            ("a.b", ["a.b", "a.b.c", "a.b[0]"]),
            ("a.b*", ["a.b", "a.b.c", "a.b[0]", "a.bc"]),
            ("a.bc", ["a.bc"]),
            ("no", []),
            ("", ["a.b", "a.b.c", "a.b[0]", "a.bc"]),
        ],
    )
    def test_a_key_comes_with_what_is_below_it(
        self, wanted: str, keys: list[str], repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.properties": "a.b=1\na.b.c=2\na.b[0]=3\na.bc=4\n"})

        explanation = _explained(server, f"/explain/app/default?key={quote(wanted)}")

        assert [explained["key"] for explained in explanation["keys"]] == keys

    def test_what_the_server_overrides_wins_over_every_file(self) -> None:
        file = PropertySource("app.yml", {"k": Value(1, 1, 4)}, Candidate("app.yml", ""))
        overrides = PropertySource("overrides", {"k": Value(2, 0, 0)})
        explainer = Explainer([TracedEnvironment("main", "c0ffee", [overrides, file], Trace())])

        (explained,) = explainer.keys("k")

        assert explained.value == 2
        assert explained.set_by is not None
        assert explained.set_by.file is None
        assert [lost.rule for lost in explained.lost] == ["overrides"]


class TestWhatDoesNotCount:
    def test_a_document_for_another_profile_is_named_with_the_reason(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n---\nspring.config.activate.on-profile: prod & !eu\na: 2\n"})

        explanation = _explained(server, "/explain/app/dev")

        assert [(d["file"], d["document"], d["reason"]) for d in explanation["skipped"]] == [
            ("app.yml", 1, "it is for profile prod & !eu, and what holds is dev")
        ]
        assert [(d["file"], d["document"]) for d in explanation["documents"]] == [("app.yml", 0)]

    def test_files_that_would_count_are_named(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})

        looked_for = _explained(server, "/explain/app/dev")["looked_for"]

        assert "app-dev.yml" in looked_for
        assert "application.properties" in looked_for
        assert "app.yml" not in looked_for

    @pytest.mark.parametrize(
        ("file", "text", "line", "column", "reason"),
        [
            ("app.yml", "a: 1\nb: [\n", 3, 1, "it is not YAML"),
            ("app.yml", "a: 1\na: 2\n", 2, 1, "the key 'a' is there twice"),
            ("app.yml", "a: 1\nspring.config.activate.on-profile: a & b | c\n", 2, 36, "no profile expression"),
            ("app.yml", "a: 1\nspring.config.import: none.yml\n", 2, 23, "which is no file of this repository"),
            ("app.yml", "a: 1\nspring.profiles: dev\n", 2, 18, "spring.profiles is not used any more"),
            ("app-dev.yml", "spring.profiles.include: x\n", 1, 26, "can't stand in a profile's file"),
            ("app.yml", "spring.profiles.include: '-'\n", 1, 26, "'-' can't be a profile"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_named_with_line_and_column(
        self,
        file: str,
        text: str,
        line: int,
        column: int,
        reason: str,
        repository: ConfigRepository,
        server: RunningServer,
    ) -> None:
        repository.commit({"application.yml": "shared: 1\n", file: text})

        explanation = _explained(server, "/explain/app/dev")

        (broken,) = explanation["broken"]
        assert (broken["file"], broken["line"], broken["column"]) == (file, line, column)
        assert reason in broken["reason"]
        assert _key(explanation, "shared")["value"] == 1

    def test_every_broken_file_is_named_while_the_last_good_commit_is_served(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})
        assert server.ask("/app/default").status == 200
        broken = repository.commit({"app.yml": "a: [\n", "application.yml": "b: [\n"})

        explanation = _explained(server, "/explain/app/default")

        assert {fault["file"] for fault in explanation["broken"]} == {"app.yml", "application.yml"}
        assert explanation["asked"]["commits"] == [broken]
        assert server.ask("/app/default").headers["x-config-stale"] == "true"


class TestDifferences:
    def test_another_label_is_compared(self, repository: ConfigRepository, server: RunningServer) -> None:
        old = repository.commit({"app.yml": "same: 1\nchanged: 1\ngone: 1\ntyped: 1\n"})
        new = repository.commit({"app.yml": "same: 1\nchanged: 2\nfresh: 1\ntyped: '1'\n"})

        explanation = _explained(server, f"/explain/app/default?against={old}")

        assert explanation["against"] == {"profiles": ["default"], "label": old, "commits": [old]}
        assert [(d["key"], d["change"], d["against_value"], d["value"]) for d in explanation["differences"]] == [
            ("changed", "changed", 1, 2),
            ("fresh", "added", None, 1),
            ("gone", "removed", 1, None),
            ("typed", "changed", 1, "1"),
        ]
        changed = explanation["differences"][0]
        assert (changed["against_set_by"]["commit"], changed["set_by"]["commit"]) == (old, new)

    def test_another_profile_is_compared(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\nb: 1\n", "app-dev.yml": "a: 2\n", "app-prod.yml": "a: 3\n"})

        explanation = _explained(server, "/explain/app/prod?against-profile=dev&key=a")

        (difference,) = explanation["differences"]
        assert (difference["against_value"], difference["value"]) == (2, 3)
        assert difference["against_set_by"]["file"] == "app-dev.yml"

    def test_an_unknown_label_is_404(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})

        answer = server.ask("/explain/app/default?against=nowhere")

        assert answer.status == 404
        assert "nowhere" in answer.headers["x-config-reason"]


class TestSecrets:
    _SECRETS = (
        "db:\n  password: s3cr3t-1\n  url: postgresql://user:s3cr3t-2@host/db\n"
        "api-key: s3cr3t-3\nplain: '{cipher}5ec4e7'\nmixed: ${DB_PASSWORD:s3cr3t-4}\nname: shown\n"
        "passwords:\n  somebody: s3cr3t-5\nspring.config.import: 'optional:http://u:s3cr3t-6@host/x'\n"
        "typed: !foo s3cr3t-7\n"
    )

    @pytest.mark.parametrize("headers", [{}, _HTML], ids=["JSON", "page"])
    def test_are_never_shown_in_clear(
        self, headers: dict[str, str], repository: ConfigRepository, server: RunningServer
    ) -> None:
        readable = self._SECRETS.replace("typed: !foo s3cr3t-7\n", "")
        old = repository.commit({"app.yml": readable.replace("s3cr3t", "old-s3cr3t").replace("5ec4e7", "01d5ec4e7")})
        repository.commit({"app.yml": readable, "app-dev.yml": readable})
        repository.commit({"application.yml": self._SECRETS})

        answer = server.ask(f"/explain/app/dev?against={old}", headers=headers)

        assert answer.status == 200
        text = answer.body.decode()
        assert "s3cr3t" not in text
        assert "5ec4e7" not in text
        assert "shown" in text
        assert "******" in text

    def test_that_changed_are_told_to_have_changed(self, repository: ConfigRepository, server: RunningServer) -> None:
        old = repository.commit({"app.yml": "password: one\n"})
        repository.commit({"app.yml": "password: two\n"})

        (difference,) = _explained(server, f"/explain/app/default?against={old}")["differences"]

        assert (difference["change"], difference["value"], difference["against_value"]) == (
            "changed",
            "******",
            "******",
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = ConfigRepository(tmp_path_factory.mktemp("explained") / "config.git")
    repository.commit({"application.yml": "a: 1\n", "order-service.yml": "b: 1\n", "payment-service.yml": "c: 1\n"})
    passwords = {"order-service": "pw-1", "payment-service": "pw-2", "order": "pw-3"}
    with running(git_uri=str(repository.path), credentials=passwords) as server:
        yield server


class TestAccess:
    def _ask(self, server: RunningServer, path: str, name: str, password: str) -> Answer:
        credential = base64.b64encode(f"{name}:{password}".encode()).decode()
        return server.ask(path, headers={"Authorization": f"Basic {credential}"})

    def test_c5_an_application_explains_its_own(self, guarded: RunningServer) -> None:
        assert self._ask(guarded, "/explain/order-service/default", "order-service", "pw-1").status == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/explain/payment-service/default",
            "/explain/payment-service/default/main",
            "/explain/order-service,payment-service/default",
            "/explain/order-service/default?against-profile=payment-service",
            "/explain/order-service/payment-service",
        ],
    )
    def test_c5_another_application_is_403(self, path: str, guarded: RunningServer) -> None:
        assert self._ask(guarded, path, "order-service", "pw-1").status == 403

    def test_c5_a_compared_profile_does_not_complete_the_name_of_another(self, guarded: RunningServer) -> None:
        answer = self._ask(guarded, "/explain/order/default?against-profile=service", "order", "pw-3")

        assert answer.status == 403

    def test_without_a_credential_a_browser_is_asked_for_one(self, guarded: RunningServer) -> None:
        answer = guarded.ask("/explain/order-service/default", headers=_HTML)

        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")


class TestRequests:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/explain/actuator/env", 404),
            ("/explain/app/default.yml", 404),
            ("/explain/app/default?against=..", 400),
            ("/explain/app/default?against-profile=..", 404),
            ("/explain/..(_)app/default", 400),
            ("/explain/app/default/nowhere", 404),
        ],
    )
    def test_a_bad_one_is_refused(
        self, path: str, status: int, repository: ConfigRepository, server: RunningServer
    ) -> None:
        repository.commit({"app.yml": "a: 1\n"})

        answer = server.ask(path)

        assert answer.status == status
        assert answer.headers["x-config-reason"]

    def test_what_is_neither_json_nor_html_is_406(self, repository: ConfigRepository, server: RunningServer) -> None:
        repository.commit({"app.yml": "a: 1\n"})

        assert server.ask("/explain/app/default", headers={"Accept": "image/png"}).status == 406


@pytest.fixture(scope="module")
def golden_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = ConfigRepository(tmp_path_factory.mktemp("golden") / "config-repo.git")
    repository.replay(json.loads((_GOLDEN / "repository.json").read_text())["steps"])
    with running(
        git_uri=str(repository.path), git_search_paths=",".join(_RECORDED["search_paths"]), anonymous="true"
    ) as server:
        yield server


@pytest.mark.parametrize(
    "path",
    [
        "/order-service/default",
        "/order-service/dev,prod",
        "/multi/prod",
        "/order-service/prod/v1.0.0",
        "/prec/dev,prod",
    ],
)
def test_the_explanation_is_of_what_is_served(path: str, golden_server: RunningServer) -> None:
    served = golden_server.ask(path)
    explanation = _explained(golden_server, f"/explain{path}")

    values = served.values()
    assert set(values) == {explained["key"] for explained in explanation["keys"]}
    for explained in explanation["keys"]:
        if explained["set_by"] is not None:
            assert explained["value"] == values[explained["key"]]
    assert len(explanation["documents"]) == len(served.json()["propertySources"])
    assert explanation["broken"] == []

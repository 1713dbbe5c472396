"""Check: a whole repository is read as the server would, and what is wrong is named with its place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.repositories import ConfigRepository

from config_server.check import Finding, check
from config_server.checked_files import NothingToCheck
from config_server.settings_schemas import SettingsSchema


def _schema(*keys: str, **fields: Any) -> SettingsSchema:
    return SettingsSchema({"properties": {key: {"type": "string"} for key in keys} | fields})


_SCHEMAS = {
    "gateway": _schema("log.level", "gateway.rate", **{"gateway.routes": {"type": "array", "items": {}}}),
    "order-service": _schema(
        "log.level", "order.deadline-seconds", **{"order.dsn": {"type": "string", "format": "password"}}
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _found(
    folder: Path,
    files: Mapping[str, str],
    *,
    schemas: Mapping[str, SettingsSchema] | None = None,
    search_paths: Sequence[str] = (),
    profiles: Sequence[str] = (),
) -> list[str]:
    _write(folder, files)
    return [str(it) for it in check(folder, schemas=schemas, search_paths=search_paths, profiles=profiles)]


class TestFiles:
    def test_a_good_repository_has_nothing_wrong(self, folder: Path) -> None:
        files = {
            "application.yml": "log:\n  level: INFO\n",
            "order-service.yml": "order:\n  deadline-seconds: ${SECONDS:60}\n---\n"
            "spring.config.activate.on-profile: prod\norder.dsn: '{cipher}00ff'\n",
            "gateway-prod.properties": "gateway.rate=${log.level}\n",
            "README.md": "key: [\n",
            ".hidden.yml": "key: [\n",
            "other/application.yml": "key: [\n",
        }

        assert _found(folder, files, schemas=_SCHEMAS) == []

    @pytest.mark.parametrize(
        ("name", "text", "found"),
        [
            ("app.yml", "a: 1\nb: [\n", "app.yml:3:1: it is not YAML: did not find expected node content"),
            ("app.yml", "a:\n\tb: 1\n", "app.yml:2:1: it is not YAML: found character that cannot start any token"),
            ("app.yml", "a: 1\na: 2\n", "app.yml:2:1: the key 'a' is there twice"),
            ("app.yml", "a: !!python/object:os.system x\n", "app.yml:1:4: a value like this with the tag"),
            ("app.yml", "a.b: 1\na:\n  b: 2\n", "app.yml:3:6: a.b is set twice in one document, also at 1:6"),
            ("app.properties", "a=1\nb=2\na=3\n", "app.properties:3:3: a is set twice in one document, also at 1:3"),
            ("app.properties", "a=\\u12\n", "app.properties:1:3: \\u needs four hexadecimal digits"),
            ("app.xml", "<properties><x/></properties>", "app.xml:1:1: <x> does not belong here"),
            ("application-dev.yml", "spring.profiles.active: x\n", "application-dev.yml:1:25: spring.profiles.active"),
            ("app.yml", "spring.config.import: no.yml\n", "app.yml:1:23: it imports no.yml, which is no file of this"),
            (
                "app.yml",
                "a: 1\n---\nspring.config.activate.on-profile: a & b | c\n",
                "app.yml:3:36: a & b | c is no profile expression",
            ),
        ],
    )
    def test_a_fault_is_named_with_its_place(self, name: str, text: str, found: str, folder: Path) -> None:
        (finding,) = _found(folder, {name: text})

        assert finding.startswith(found)

    def test_all_keys_that_are_there_twice_are_named(self, folder: Path) -> None:
        found = _found(folder, {"app.yml": "a: 1\na: 2\nb:\n  c: 1\n  c: 2\n---\nd: 1\nd: 1\n"})

        assert [line.partition(": ")[0] for line in found] == ["app.yml:2:1", "app.yml:5:3", "app.yml:8:1"]

    def test_all_broken_files_are_named_in_the_order_of_their_names(self, folder: Path) -> None:
        files = {"b.yml": "a: [\n", "a.yml": "a: [\n", "a-dev.yml": "a: [\n", "application-eu.properties": "a=\\u1\n"}

        found = _found(folder, files)

        assert [line.partition(":")[0] for line in found] == [
            "a-dev.yml",
            "a.yml",
            "application-eu.properties",
            "b.yml",
        ]

    def test_a_symbolic_link_is_named(self, folder: Path) -> None:
        (folder / "app.yml").symlink_to("/etc/passwd")

        assert check(folder) == [Finding("app.yml", 1, 1, "it is a symbolic link, and the server follows none")]

    def test_files_in_the_search_paths_are_read(self, folder: Path) -> None:
        files = {"shared/application.yml": "a: [\n", "app/application-dev.yml": "b: [\n", "x.yml": "c: 1\n"}

        assert [line.partition(":")[0] for line in _found(folder, files, search_paths=["shared", "{application}"])] == [
            "app/application-dev.yml",
            "shared/application.yml",
        ]

    def test_an_imported_file_is_read(self, folder: Path) -> None:
        files = {"app.yml": "spring.config.import: more/x.yml\n", "more/x.yml": "password: hunter2\n"}

        (finding,) = _found(folder, files)

        assert finding.startswith("more/x.yml:1:11: password is a secret in clear")


class TestRepositories:
    def test_a_bare_one_is_read_at_main(self, repository: ConfigRepository) -> None:
        repository.commit({"app.yml": "a: [\n"})

        assert [it.file for it in check(repository.path)] == ["app.yml"]

    def test_another_label_can_be_read(self, repository: ConfigRepository) -> None:
        broken = repository.commit({"app.yml": "a: [\n"})
        repository.commit({"app.yml": "a: 1\n"})

        assert check(repository.path) == []
        assert [it.file for it in check(repository.path, label=broken)] == ["app.yml"]

    def test_one_with_a_work_tree_is_read_as_its_files_lie(self, folder: Path) -> None:
        repository = ConfigRepository(folder / ".git")
        repository.git.config["core.bare"] = False
        repository.commit({"app.yml": "a: [\n"})
        _write(folder, {"app.yml": "a: 1\n"})

        assert check(folder) == []
        assert [it.file for it in check(folder, label="main")] == ["app.yml"]

    def test_where_there_is_nothing_it_is_said(self, repository: ConfigRepository, folder: Path) -> None:
        with pytest.raises(NothingToCheck, match="there is no folder"):
            check(folder / "none")
        with pytest.raises(NothingToCheck, match="no branch, tag or commit main"):
            check(repository.path)


class TestPlaceholders:
    def test_one_that_nothing_gives_a_value_is_named(self, folder: Path) -> None:
        files = {"app.yml": "a: 1\nb: ${a} ${nowhere} ${else:where}\n"}

        assert _found(folder, files) == ["app.yml:2:4: nothing gives ${nowhere} a value (for app in profile default)"]

    def test_who_reads_it_counts(self, folder: Path) -> None:
        files = {"application.yml": "greeting: ${name}\n", "a.yml": "name: x\n", "b.yml": "b: 1\n", "c.yml": "c: 1\n"}

        assert _found(folder, files) == [
            "application.yml:1:11: nothing gives ${name} a value (for b in profile default and 1 more)"
        ]

    @pytest.mark.parametrize("text", ["${KAFKA_BOOTSTRAP}", "${x:}", "${x:${y:z}}", "\\${x}", "${random.int}", "${ ${"])
    def test_one_that_is_filled_in_elsewhere_or_needs_not_be_is_well(self, text: str, folder: Path) -> None:
        assert _found(folder, {"app.properties": f"a={text.replace(chr(92), chr(92) * 2)}\n"}) == []

    def test_a_circle_is_named(self, folder: Path) -> None:
        found = _found(folder, {"app.yml": "a: ${b}\nb: ${a}\n"})

        assert [line.partition(" (")[0] for line in found] == [
            "app.yml:1:4: the placeholder ${b} leads back to itself",
            "app.yml:2:4: the placeholder ${a} leads back to itself",
        ]

    def test_only_the_profiles_in_use_count(self, folder: Path) -> None:
        files = {"app.yml": "x: 1\n", "app-dev.yml": "a: ${only.in.eu}\n", "app-eu.yml": "only.in.eu: 1\n"}

        assert len(_found(folder, files)) == 1
        assert _found(folder, files, profiles=["dev,eu"]) == []


class TestKnownKeys:
    def test_an_unknown_key_is_named_with_the_one_that_is_meant(self, folder: Path) -> None:
        files = {"order-service.yml": "order:\n  deadline-secnds: 60\n", "gateway.yml": "order.deadline-seconds: 1\n"}

        assert _found(folder, files, schemas=_SCHEMAS) == [
            "gateway.yml:1:25: order.deadline-seconds is no setting of gateway",
            (
                "order-service.yml:2:20: order.deadline-secnds is no setting of order-service; "
                "is order.deadline-seconds meant?"
            ),
        ]

    def test_a_shared_key_must_be_known_to_somebody(self, folder: Path) -> None:
        files = {
            "application.yml": "gateway.rate: 1\nlog.levl: x\n",
            "gateway.yml": "",
            "application-dev.yml": "y: 1\n",
        }

        assert _found(folder, files, schemas=_SCHEMAS) == [
            "application-dev.yml:1:4: y is no setting of any application",
            "application.yml:2:11: log.levl is no setting of any application; is log.level meant?",
        ]

    def test_an_application_without_a_schema_may_be_told_anything(self, folder: Path) -> None:
        files = {"application.yml": "x: 1\n", "java-application.yml": "y: 1\n"}

        assert _found(folder, files, schemas=_SCHEMAS) == []

    def test_a_file_for_a_name_that_is_nearly_an_application_is_named(self, folder: Path) -> None:
        assert _found(folder, {"oder-service-prod.yml": "y: 1\n"}, schemas=_SCHEMAS) == [
            "oder-service-prod.yml:1:1: no application is called oder-service-prod; is order-service meant?"
        ]

    def test_a_key_that_a_placeholder_asks_for_is_known(self, folder: Path) -> None:
        assert _found(folder, {"gateway.yml": "base: 5\ngateway.rate: ${base}\n"}, schemas=_SCHEMAS) == []

    def test_what_is_said_to_the_server_is_known(self, folder: Path) -> None:
        files = {
            "gateway.yml": "spring.config.import: parts/more.yml\nspring.profiles.include: dev\n",
            "parts/more.yml": "gateway.rate: 1\nz: 1\n",
        }

        assert _found(folder, files, schemas=_SCHEMAS) == ["parts/more.yml:2:4: z is no setting of gateway"]


class TestSecrets:
    def test_one_in_clear_is_named_and_not_shown(self, folder: Path) -> None:
        files = {
            "app.yml": "db:\n  password: hunter2\n  url: db://u:hunter2@host\n---\nspring.config.activate:\n"
            "  on-cloud-platform: kubernetes\napi-key: hunter2\n"
        }

        found = _found(folder, files)

        assert [line.partition(": ")[0] for line in found] == ["app.yml:2:13", "app.yml:3:8", "app.yml:7:10"]
        assert "hunter2" not in "".join(found)

    def test_what_the_schema_calls_secret_is_one(self, folder: Path) -> None:
        (finding,) = _found(folder, {"order-service.yml": "order.dsn: host=x\n"}, schemas=_SCHEMAS)

        assert finding.startswith("order-service.yml:1:12: order.dsn is a secret in clear")

    def test_a_fault_does_not_show_one(self, folder: Path) -> None:
        files = {"app.yml": "password: !foo hunter2\n", "b.yml": "spring.config.import: http://u:hunter2@h/x.yml\n"}

        found = _found(folder, files)

        assert len(found) == 2
        assert "hunter2" not in "".join(found)

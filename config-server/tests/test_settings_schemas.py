"""Keys of config files against the JSON Schema of an application's settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from config_server.settings_schemas import SchemaUnreadable, SettingsSchema, read_schemas

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "log.level": {"type": "string"},
        "gateway.rate-per-second": {"type": "number"},
        "gateway.routes": {"type": "array", "items": {"$ref": "#/$defs/Route"}},
        "gateway.paths": {"type": "array", "items": {"type": "string"}},
        "gateway.weights": {"type": "object", "additionalProperties": {"type": "integer"}},
        "gateway.anything": {"type": "object"},
        "gateway.untyped": {},
        "gateway.limit": {"anyOf": [{"$ref": "#/$defs/Rule"}, {"type": "null"}]},
        "gateway.password": {"type": "string", "format": "password", "writeOnly": True},
    },
    "$defs": {
        "Route": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "rules": {"type": "array", "items": {"$ref": "#/$defs/Rule"}}},
        },
        "Rule": {"type": "object", "properties": {"strip-prefix": {"type": "boolean"}}, "additionalProperties": False},
    },
}


@pytest.mark.parametrize(
    "key",
    [
        "log.level",
        "LOG_LEVEL",
        "gateway.rate.per-second",
        "gateway.rate_per_second",
        "gateway.routes",
        "gateway.routes[0].id",
        "gateway.routes[12].rules[0].strip-prefix",
        "gateway.routes[0].rules[0].strip_prefix",
        "gateway.paths[3]",
        "gateway.weights.some-service",
        "gateway.weights[some service]",
        "gateway.anything.at.all[0]",
        "gateway.untyped[0].x",
        "gateway.limit.strip-prefix",
    ],
)
def test_a_key_of_a_setting_or_within_one_is_known(key: str) -> None:
    assert SettingsSchema(_SCHEMA).field(key) is not None


@pytest.mark.parametrize(
    "key",
    [
        "log",
        "log.levels",
        "log.level.more",
        "gateway",
        "gateway.routes[0].idd",
        "gateway.routes.id",
        "gateway.routes[x].id",
        "gateway.routes[0].rules[0].strip",
        "gateway.paths[0].x",
        "gateway.limit.x",
        "nothing",
    ],
)
def test_another_is_not(key: str) -> None:
    assert SettingsSchema(_SCHEMA).field(key) is None


def test_a_secret_is_told_by_its_schema() -> None:
    schema = SettingsSchema(_SCHEMA)

    assert schema.is_secret("gateway.password")
    assert not schema.is_secret("log.level")
    assert not schema.is_secret("nothing")


def test_a_key_that_is_nearly_one_is_found() -> None:
    schema = SettingsSchema(_SCHEMA)

    assert schema.nearest("gateway.rate-per-secnd") == "gateway.rate-per-second"
    assert schema.nearest("something.else") is None


class TestReadSchemas:
    def test_each_file_is_an_application(self, tmp_path: Path) -> None:
        (tmp_path / "gateway.json").write_text(json.dumps(_SCHEMA))
        (tmp_path / "notes.txt").write_text("no schema")

        assert list(read_schemas(tmp_path)) == ["gateway"]

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"properties": []}'])
    def test_what_is_no_schema_is_named(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "gateway.json").write_text(text)

        with pytest.raises(SchemaUnreadable, match=r"gateway\.json"):
            read_schemas(tmp_path)

    def test_a_folder_without_any_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaUnreadable, match="holds no schemas"):
            read_schemas(tmp_path)
        with pytest.raises(SchemaUnreadable, match="No such file"):
            read_schemas(tmp_path / "none")

"""What applications can be told: the JSON Schemas of their settings, one file for each, and which keys fit."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_STEP = re.compile(r"\[(?P<index>[^\]]*)\]|\.?(?P<name>[^.\[]+)")


class SchemaUnreadable(Exception):
    """A file is no schema of settings; the message names it."""


class SettingsSchema:
    """The settings of one application, by the keys of config files: `order.deadline-seconds`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._fields: dict[str, Any] = {_relaxed(key): field for key, field in schema["properties"].items()}
        self._keys: list[str] = list(schema["properties"])

    def field(self, key: str) -> Mapping[str, Any] | None:
        """What the schema says of a key, or of the part of a setting that it names; None if it knows no such key."""
        for border in _borders(key):
            field = self._fields.get(_relaxed(key[:border]))
            if field is not None:
                return self._below(field, key[border:])
        return None

    def is_secret(self, key: str) -> bool:
        field = self.field(key)
        return field is not None and (field.get("format") == "password" or field.get("writeOnly") is True)

    def nearest(self, key: str) -> str | None:
        """A key that is probably meant by one that is not known."""
        return next(iter(get_close_matches(key, self._keys, n=1, cutoff=0.8)), None)

    def _below(self, field: Mapping[str, Any], rest: str) -> Mapping[str, Any] | None:
        if "$ref" in field:
            field = self._definitions[field["$ref"].rpartition("/")[2]]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in field:
                found = (self._below(option, rest) for option in field[choice])
                return next((option for option in found if option is not None), None)
        if not rest:
            return field
        step = _STEP.match(rest)
        if step is None:
            return None
        below = self._one_step(field, step["index"], step["name"])
        return None if below is None else self._below(below, rest[step.end() :])

    def _one_step(self, field: Mapping[str, Any], index: str | None, name: str | None) -> Mapping[str, Any] | None:
        """An element of a list, or a value of a map; a schema that says nothing allows everything."""
        kind = field.get("type")
        if kind is None:
            return {}
        if kind == "array" and index is not None and index.isdigit():
            items: Mapping[str, Any] = field.get("items", {})
            return items
        if kind != "object":
            return None
        for known, below in field.get("properties", {}).items():
            if _relaxed(known) == _relaxed(name or index or ""):
                found: Mapping[str, Any] = below
                return found
        others = field.get("additionalProperties", "properties" not in field)
        if isinstance(others, Mapping):
            return others
        return {} if others else None


def read_schemas(folder: Path) -> dict[str, SettingsSchema]:
    """The schemas in a folder by their applications, each in `<application>.json`. Raises SchemaUnreadable."""
    schemas: dict[str, SettingsSchema] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix == ".json":
                schema = json.loads(path.read_bytes())
                if not (isinstance(schema, dict) and isinstance(schema.get("properties"), dict)):
                    raise SchemaUnreadable(f"{path} is no JSON Schema of an object with properties")
                schemas[path.stem] = SettingsSchema(schema)
    except OSError as error:
        raise SchemaUnreadable(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise SchemaUnreadable(f"{path} is not JSON: {error}") from error
    if not schemas:
        raise SchemaUnreadable(f"{folder} holds no schemas: no file is called <application>.json")
    return schemas


def _borders(key: str) -> Iterator[int]:
    """Where the name of a setting can end in a key, the longest first."""
    yield len(key)
    for match in reversed(list(re.finditer(r"[.\[]", key))):
        yield match.start()


def _relaxed(key: str) -> str:
    """Services compare names like this: dots and hyphens read as underscores, whatever their case."""
    return re.sub(r"[.-]", "_", key).lower()

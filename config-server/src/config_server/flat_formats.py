"""The flat formats of an environment: .properties, .json, .yml and .yaml."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from chassis.problems import BadRequest

from .documents import java_text
from .errors import ConfigurationUnreadable
from .flat import KeyMalformed, KeysContradict, Node, merged, nested
from .flat_yaml import yaml_text
from .forms import Found

DOCUMENT = "document"  # under this key stands a file that is no map


@dataclass(frozen=True, slots=True)
class FlatFormat:
    """All keys with their strongest values; the extension says how they are written."""

    extension: str
    resolves_placeholders: bool

    def render(self, found: Found) -> bytes:
        flat = merged(found.sources)
        if self.extension == "properties":
            lines = "\n".join(f"{key}: {java_text(value)}" for key, value in flat.items())
            # As in Spring the finished text is resolved: keys as well.
            return _encoded(found.resolve(lines) if self.resolves_placeholders else lines)
        try:
            tree = nested(flat)
        except KeyMalformed as error:
            raise BadRequest(f"This can't be shown as .{self.extension}: {error}.") from error
        except KeysContradict as error:
            raise ConfigurationUnreadable(f"This can't be shown as .{self.extension}: {error}.") from error
        if self.extension == "json":
            resolved = _resolved(tree, found.resolve) if self.resolves_placeholders else tree
            return _encoded(json.dumps(resolved, ensure_ascii=False, separators=(",", ":")))
        shown = tree[DOCUMENT] if list(tree) == [DOCUMENT] else tree
        if not isinstance(shown, list | dict):
            shown = java_text(shown if shown is not None else "")  # a lone value is a text, whatever it was
        return _encoded(yaml_text(shown, found.resolve if self.resolves_placeholders else None))


@dataclass(frozen=True, slots=True)
class Nothing:
    """What Spring answers where the name or the profile is left out: no keys."""

    extension: str

    def render(self, _found: Found) -> bytes:
        return {"properties": b"", "json": b"{}"}.get(self.extension, b"{}\n")


def _resolved(node: Node, resolve: Callable[[str], str]) -> Node:
    if isinstance(node, dict):
        return {resolve(key): _resolved(inner, resolve) for key, inner in node.items()}
    if isinstance(node, list):
        return [_resolved(inner, resolve) for inner in node]
    return resolve(node) if isinstance(node, str) else node


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")

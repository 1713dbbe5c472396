"""What the server sets for everybody, whatever the files say (Spring's `spring.cloud.config.server.overrides`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from .documents import Value
from .environments import PropertySource

_NAME = "overrides"
_ORIGIN = "Config server overrides"


def override_sources(overrides: Mapping[str, Any]) -> list[PropertySource]:
    """The one source that is stronger than every file, or none.

    As in Spring all values are texts, and `$\\{` or `\\${` is written for a placeholder that the client is to resolve.
    """
    values = {key: Value(_text(value), 0, 0) for key, value in _flat("", overrides)}
    return [PropertySource(_NAME, values, origin=_ORIGIN)] if values else []


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": [1]}}` as `a.b[0]`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(f"{prefix}[{index}]", inner)
    else:
        yield prefix, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("$\\{", "${").replace("\\${", "${")

"""What the server sets for everybody, whatever the files say (Spring's `spring.cloud.config.server.overrides`)."""

from collections.abc import Mapping
from typing import Any

from chassis.config_client import flatten

from .documents import Value, java_text
from .environments import PropertySource

_NAME = "overrides"
_ORIGIN = "Config server overrides"


def override_sources(overrides: Mapping[str, Any]) -> list[PropertySource]:
    """The one source that is stronger than every file, or none.

    As in Spring all values are texts, and `$\\{` or `\\${` is written for a placeholder that the client is to resolve.
    """
    values = {key: Value(_text(value), 0, 0) for key, value in flatten(overrides).items()}
    return [PropertySource(_NAME, values, origin=_ORIGIN)] if values else []


def _text(value: Any) -> str:
    text = "" if value is None else java_text(value)
    return text.replace("$\\{", "${").replace("\\${", "${")

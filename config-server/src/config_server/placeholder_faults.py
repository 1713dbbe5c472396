"""Finds the `${placeholders}` of an environment that nothing gives a value, or that lead back to themselves."""

import re
from collections.abc import Mapping

from .documents import Scalar
from .placeholders import PlaceholdersUnresolvable, resolve_placeholders

# Those who read the configuration fill these in, from what they are and where they run.
_GIVEN_BY_THE_READER = re.compile(r"[A-Z][A-Z0-9_]*|random\..*|spring\.application\.name|spring\.profiles\.active")


class EnvironmentPlaceholders:
    """The placeholders of one environment, given its values in force."""

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        self._values = {_relaxed(key): value for key, value in values.items()}
        self._asked_for: set[str] = set()

    def faults(self, text: str) -> list[str]:
        """What is wrong with the placeholders of a value."""
        missing: list[str] = []
        try:
            resolve_placeholders(text, self._find, missing.append)
        except PlaceholdersUnresolvable as error:
            return [str(error)]
        return [
            f"nothing gives ${{{key}}} a value"
            for key in dict.fromkeys(missing)
            if "${" not in key and not _GIVEN_BY_THE_READER.fullmatch(key)
        ]

    def asks_for(self, key: str) -> bool:
        """Whether a placeholder that was looked at leads to this key."""
        return _relaxed(key) in self._asked_for

    def _find(self, key: str) -> str | None:
        self._asked_for.add(_relaxed(key))
        value = self._values.get(_relaxed(key))
        return None if value is None else str(value)


def _relaxed(key: str) -> str:
    """Spring's clients take `serverPort`, `server-port` and `server_port` for one key."""
    return re.sub(r"[-_]", "", key).lower()

"""What a configuration file holds: documents of flat keys, each value with the place where it was written."""

from collections.abc import Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool

# A file, or what aliases make of it, beyond these is refused: it is a mistake or an attack, and it costs memory.
LARGEST_FILE_BYTES = 1_048_576
MOST_KEYS = 50_000
DEEPEST_NESTING = 50  # SnakeYAML's own limit


class FileUnreadable(Exception):
    """A file can't be understood; the message says what is wrong in it, and where."""

    def __init__(self, reason: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Value:
    """One value and its origin in the file; lines and columns count from 1."""

    value: Scalar
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: `a.b[0].c` to its value, in the order of the file."""

    values: Mapping[str, Value]

    def texts(self, *path: str) -> list[str]:
        """What is set under a key, as a list: its own value split at commas, or its elements `[0]`, `[1]`, ...

        `path` is the key's parts in kebab-case; as Spring's relaxed names have it, `onProfile` is `on-profile`.
        """
        wanted = ".".join(_relaxed(part) for part in path)
        found: list[str] = []
        for key, value in self.values.items():
            name, bracket, _ = key.partition("[")
            if _relaxed(name) != wanted:
                continue
            text = _java_text(value.value)
            found += [text] if bracket else [part.strip() for part in text.split(",")]
        return [text for text in found if text]


def _relaxed(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _java_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

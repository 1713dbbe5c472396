"""What a configuration file holds: documents of flat keys, each value with the place where it was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

Scalar = str | int | float | bool


class JsonText(str):
    """A value that JSON has no type for, as the text that Spring's JSON shows; `yaml` is how YAML writes it."""

    __slots__ = ("yaml",)

    def __new__(cls, text: str, *, yaml: str) -> Self:
        made = super().__new__(cls, text)
        made.yaml = yaml
        return made

    yaml: str


# A file, or what aliases make of it, beyond these is refused: it is a mistake or an attack, and it costs memory.
LARGEST_FILE_BYTES = 1_048_576
MOST_VALUES = 50_000
MOST_STEPS = 4 * MOST_VALUES
MOST_CHARACTERS = 4 * LARGEST_FILE_BYTES
DEEPEST_NESTING = 50  # SnakeYAML's own limit


class FileUnreadable(Exception):
    """A file can't be understood; the message says what is wrong in it, and where. `further` is what else is wrong."""

    def __init__(
        self,
        reason: str,
        *,
        line: int | None = None,
        column: int | None = None,
        further: Sequence["FileUnreadable"] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column
        self.further = further

    def copy(self) -> "FileUnreadable":
        """The same without the frames that a raised exception gathers of everyone who raises it."""
        return FileUnreadable(self.reason, line=self.line, column=self.column, further=self.further)


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
    characters: int  # of all keys and values
    repeated: Sequence[tuple[str, Value, Value]] = ()  # keys that came twice: the value before, and the one that counts

    def texts(self, *path: str) -> list[str]:
        """What is set under a key, as a list: its own value split at commas, or its elements `[0]`, `[1]`, ...

        `path` is the key's parts in kebab-case; as Spring's relaxed names have it, `onProfile` is `on-profile`.
        """
        return [text for text, _place in self.entries(*path)]

    def entries(self, *path: str) -> list[tuple[str, Value]]:
        """The same, each text with the value that it was taken from."""
        wanted = ".".join(_relaxed(part) for part in path)
        initial = wanted[0]
        found: list[tuple[str, Value]] = []
        for key, value in self.values.items():
            if key[:1] not in (initial, initial.upper()):  # nearly all keys; the rest of this is slow
                continue
            name, bracket, _ = key.partition("[")
            if _relaxed(name) != wanted:
                continue
            text = java_text(value.value)
            found += [(part, value) for part in ([text] if bracket else [part.strip() for part in text.split(",")])]
        return [(text, value) for text, value in found if text]


class DocumentBuilder:
    """Gathers a document's values, and refuses more of them than a file can honestly hold."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._repeated: list[tuple[str, Value, Value]] = []
        self._steps = 0
        self._characters = 0

    def visit(self, line: int, column: int) -> None:
        """Count a step on the way to the values: aliases can make many of them, and no value. Raises FileUnreadable."""
        self._steps += 1
        if self._steps > MOST_STEPS or len(self._values) > MOST_VALUES:
            raise FileUnreadable(f"it expands to more than {MOST_VALUES} values", line=line, column=column)

    def put(self, key: str, value: Value) -> None:
        """Set a value; one that was set before keeps its place. Raises FileUnreadable."""
        if (before := self._values.get(key)) is not None:
            self._repeated.append((key, before, value))
        self._values[key] = value
        self.visit(value.line, value.column)
        self._characters += len(key) + (len(value.value) if isinstance(value.value, str) else 8)
        if self._characters > MOST_CHARACTERS:
            raise FileUnreadable(
                f"it expands to more than {MOST_CHARACTERS} characters", line=value.line, column=value.column
            )

    def __bool__(self) -> bool:
        return bool(self._values)

    def document(self) -> Document:
        return Document(self._values, self._characters, tuple(self._repeated))


def _relaxed(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def java_text(value: Scalar) -> str:
    """A value as Java's String.valueOf writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _java_double(value) if isinstance(value, float) else str(value)


def _java_double(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)  # numbers alone get here: what is none is a JsonText
    written = "".join(map(str, digits))
    fraction = written[1:].rstrip("0") or "0"
    return f"{'-' if sign else ''}{written[0]}.{fraction}E{exponent + len(written) - 1}"

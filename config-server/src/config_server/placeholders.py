"""Resolves `${key:default}` in texts, as Spring's PropertyPlaceholderHelper does (Spring Framework 7)."""

import re
from collections.abc import Callable, Mapping

# A text's own escapes, one backslash or two, are taken off before anything else is looked at.
_ESCAPED = re.compile(r"\\{1,2}\$\{")
_MASK = "$\0{"  # no text has a NUL that anybody could miss

_DEEPEST_NESTING = 50
_MOST_STEPS = 200_000
_MOST_CHARACTERS = 8 * 1_048_576

Lookup = Callable[[str], str | None]


class PlaceholdersUnresolvable(Exception):
    """Placeholders lead back to themselves, or to more text than anybody can want."""


def resolve_placeholders(text: str, find: Lookup, missing: Callable[[str], None] = lambda _key: None) -> str:
    """The text with its placeholders replaced; those that have neither a value nor a default stay as they are.

    `missing` is told of these, if they stand in the text itself and not in a value that it leads to.
    `\\${` stands for `${`. Raises PlaceholdersUnresolvable.
    """
    if "${" not in text:
        return text
    return _Resolution(find, missing).resolve(_ESCAPED.sub(_MASK, text), 0).replace(_MASK, "${")


class _Resolution:
    """One text being resolved: the keys on the way to where it is, and what it took so far."""

    def __init__(self, find: Lookup, missing: Callable[[str], None]) -> None:
        self._find = find
        self._missing = missing
        self._open: set[str] = set()
        self._steps = 0
        self._characters = 0

    def resolve(self, text: str, depth: int) -> str:
        return self._spend("".join(self._parts(text, 0, len(text), _closing_braces(text), depth)))

    def _parts(self, text: str, start: int, end: int, closing: Mapping[int, int], depth: int) -> list[str]:
        """What stands between two places: verbatim, and in the place of each placeholder what it means."""
        if depth > _DEEPEST_NESTING:
            raise PlaceholdersUnresolvable(f"placeholders are nested deeper than {_DEEPEST_NESTING} levels")
        parts: list[str] = []
        position = start
        while (found := text.find("${", position, end)) >= 0:
            inside = found + 2
            close = closing.get(found + 1, end)
            if close >= end:  # it is not closed here
                parts.append(text[position:inside])
                position = inside
            elif found > start and text[found - 1] == "\\":
                parts += [text[position : found - 1], "${"]
                position = inside
            else:
                parts += [text[position:found], self._value(text, inside, close, closing, depth)]
                position = close + 1
        parts.append(text[position:end])
        return parts

    def _value(self, text: str, start: int, end: int, closing: Mapping[int, int], depth: int) -> str:
        """What the placeholder means whose inside this is."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise PlaceholdersUnresolvable(f"it takes more than {_MOST_STEPS} placeholders")
        colon = _first_colon(text, start, end, closing)
        name = text[start : end if colon is None else colon]
        whole = text[start:end]
        key = "".join(self._parts(text, start, start + len(name), closing, depth + 1)).replace("\\:", ":")
        value = None
        if "${" not in whole and whole != key:
            value = self._lookup(whole, depth)  # a key may have a colon in it
        if value is None:
            value = self._lookup(key, depth)
        if value is not None:
            return value
        if colon is None:
            if not self._open:
                self._missing(key)
            return f"${{{key}}}"
        return self._spend("".join(self._parts(text, colon + 1, end, closing, depth + 1)))

    def _lookup(self, key: str, depth: int) -> str | None:
        value = self._find(key)
        if value is None or "${" not in value:
            return value if value is None else self._spend(value)
        if key in self._open:
            raise PlaceholdersUnresolvable(f"the placeholder ${{{key}}} leads back to itself")
        self._open.add(key)
        resolved = self.resolve(value, depth + 1)
        self._open.discard(key)
        return resolved

    def _spend(self, text: str) -> str:
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            raise PlaceholdersUnresolvable(f"placeholders expand to more than {_MOST_CHARACTERS} characters")
        return text


def _closing_braces(text: str) -> dict[int, int]:
    """For each `{` that is closed the place of its `}`."""
    closing: dict[int, int] = {}
    unclosed: list[int] = []
    for brace in re.finditer(r"[{}]", text):
        if brace[0] == "{":
            unclosed.append(brace.start())
        elif unclosed:
            closing[unclosed.pop()] = brace.start()
    return closing


def _first_colon(text: str, start: int, end: int, closing: Mapping[int, int]) -> int | None:
    """Where the default begins: the first colon outside of inner placeholders that no backslash escapes."""
    position = start
    while position < end:
        if text[position] == ":" and not (position > start and text[position - 1] == "\\"):
            return position
        if text.startswith("${", position) and closing.get(position + 1, end) < end:
            position = closing[position + 1]
        position += 1
    return None

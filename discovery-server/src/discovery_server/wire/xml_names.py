"""Metadata keys as the names of elements, the way XStream escapes them."""

import re

# What XML's first four editions and the fifth both take in a name: expat, and so Python, knows only the former. Without
# the colon: XStream lets it through, and every reader that knows namespaces fails on it. XStream unescapes either way.
_NAME_START = "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e"
_NAME_START += "\u0401-\u040c\u040e-\u044f\u0451-\u045c\u4e00-\u9fa5"
_PLAIN_NAME = re.compile("[A-Za-z][A-Za-z0-9.-]*")
_IN_NAME = re.compile(f"[{_NAME_START}.0-9-]")
_AT_START = re.compile(f"[{_NAME_START}]")
_ESCAPED = re.compile(r"__|_-|(?:_\.[0-9a-fA-F]{4})+")


def escape_name(key: str) -> str:
    """A metadata key as an element's name, the way XStream does it: `a b` is `a_.0020b`."""
    if _PLAIN_NAME.fullmatch(key):
        return key
    return "".join(_escape_character(character, first=not index) for index, character in enumerate(key))


def unescape_name(name: str) -> str:
    """The metadata key that an element's name stands for."""
    return _ESCAPED.sub(_unescape_match, name)


def _escape_character(character: str, *, first: bool) -> str:
    if character == "_":
        return "__"
    if character == "$":
        return "_-"
    if (_AT_START if first else _IN_NAME).fullmatch(character):
        return character
    # By UTF-16 unit, as Java counts characters.
    units = character.encode("utf-16-be").hex()
    return "".join(f"_.{units[start : start + 4]}" for start in range(0, len(units), 4))


def _unescape_match(match: re.Match[str]) -> str:
    found = match[0]
    if found in ("__", "_-"):
        return "_" if found == "__" else "$"
    # Raises UnicodeDecodeError, a ValueError, for half of a surrogate pair.
    return bytes.fromhex(found.replace("_.", "")).decode("utf-16-be")

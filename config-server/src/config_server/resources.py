"""Files of the repository as they are: texts with their placeholders replaced, or bytes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import ResourceMissing
from .forms import Found
from .precedence import DEFAULT_PROFILE

# Java takes any charset that it knows. Of these each makes a text of any bytes.
_CHARSET = re.compile(r"utf-?8|us-ascii|iso-8859-(?:[1-9]|1[0-5])|latin1|windows-125[0-8]", re.IGNORECASE)
_UTF_8 = "utf-8"


@dataclass(frozen=True, slots=True)
class TextFile:
    """The first of these files, read in a charset."""

    names: tuple[str, ...]
    charset: str
    resolves_placeholders: bool

    def render(self, found: Found) -> bytes:
        text = _first(found, self.names).decode(self.charset, "replace")
        resolved = found.resolve(text) if self.resolves_placeholders else text
        return resolved.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class BinaryFile:
    """The first of these files, byte for byte."""

    names: tuple[str, ...]

    def render(self, found: Found) -> bytes:
        return _first(found, self.names)


def file_names(path: str, profiles: Sequence[str]) -> tuple[str, ...]:
    """The names a file may have for these profiles, the best first: for `a/b.txt` in dev `a/b-dev.txt`, `a/b.txt`."""
    path = "/".join(part for part in path.split("/") if part)
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    variants = [
        path if profile == DEFAULT_PROFILE else f"{folder}{slash}{stem}-{profile}{dot}{extension}"
        for profile in profiles
    ]
    return tuple(dict.fromkeys([*variants, path])) if path else ()


def charset_of(accept_charset: str | None) -> str:
    """In which charset a file is read: the one that is asked for if it is known, otherwise UTF-8."""
    asked = (accept_charset or "").strip()
    return asked.lower() if _CHARSET.fullmatch(asked) else _UTF_8


def _first(found: Found, names: Sequence[str]) -> bytes:
    data = found.read_file(names)
    if data is None:
        raise ResourceMissing(f"There is no file {names[-1] if names else ''} here.")
    return data

"""The names in a request's path below /eureka."""

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from discovery_server.errors import NoSuchPath, Unreadable

_ESCAPED_SLASH = re.compile(rb"%2f|%5c", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


def names_in_path(scope: Scope, resources: Collection[str]) -> list[str]:
    """Without a version in front and one slash at the end. Raises Unreadable, NoSuchPath.

    Netflix' own puts the version first (/eureka/v2/apps), and Spring's takes that one.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        _refuse_odd_escapes(raw)
    path: str = scope["path"]
    names = path.removeprefix("/eureka").removeprefix("/").removesuffix("/").split("/")
    if len(names) > 1 and names[0] == "v2" and names[1] in resources:
        del names[0]
    if "" in names:
        raise NoSuchPath("There is an empty name in this path.")
    return names


def _refuse_odd_escapes(raw: bytes) -> None:
    if _ESCAPED_SLASH.search(raw):
        raise Unreadable("A slash in a name, percent-encoded, can't be told from one between names.")
    if _BROKEN_ESCAPE.search(raw):
        raise Unreadable("There is a percent sign in this path without two hexadecimal digits after it.")
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise Unreadable("This path is not UTF-8, percent-encoded.") from error

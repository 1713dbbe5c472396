"""Refuses request targets that two readers could read differently: what is authorised is what is forwarded."""

import re
from urllib.parse import unquote_to_bytes

from .errors import AmbiguousRequest, TargetTooLong

_LONGEST_TARGET_BYTES = 8 * 1024

# Segments that are neither empty nor dots, of characters that mean themselves (RFC 3986 §3.3, without `;`).
_PLAIN = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
# Escaped / \ ; ? # and controls mean something else to whoever decodes them before splitting the path.
_RISKY_ESCAPE = re.compile(rb"%(?:2[fF]|5[cC]|3[bBfF]|23|[01][0-9A-Fa-f]|7[fF])")
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}")
_ODD_CHARACTER = re.compile(rb"[^A-Za-z0-9._~!$&'()*+,=:@/%-]")
_ODD_IN_QUERY = re.compile(rb"[\x00-\x20\x7f#]")
_DOTS = re.compile(rb"/\.\.?(?:/|\Z)")


def read_path(raw_path: bytes, query: bytes) -> str:
    """The decoded path of a request target, which has only this one reading.

    Raises AmbiguousRequest where servers are known to disagree (dot segments, empty segments, escaped separators,
    path parameters, double escapes), and TargetTooLong.
    """
    if len(raw_path) + len(query) > _LONGEST_TARGET_BYTES:
        raise TargetTooLong(f"A path and its query may have {_LONGEST_TARGET_BYTES} bytes together.")
    if query and _ODD_IN_QUERY.search(query):
        raise AmbiguousRequest("The query has a character in it that must be percent-encoded.")
    if _PLAIN.fullmatch(raw_path) and raw_path:
        return raw_path.decode("ascii")
    return _read_escaped(raw_path)


def _read_escaped(raw_path: bytes) -> str:
    if not raw_path.startswith(b"/"):
        raise AmbiguousRequest("The path must begin with a slash.")
    if odd := _ODD_CHARACTER.search(raw_path):
        raise AmbiguousRequest(
            f"The path has the character {odd[0].decode('latin-1')!r} in it, which is not taken here."
        )
    if any(escape[1] is None for escape in _ESCAPE.finditer(raw_path)):
        raise AmbiguousRequest("The path has a % in it that is not followed by two hexadecimal digits.")
    if risky := _RISKY_ESCAPE.search(raw_path):
        raise AmbiguousRequest(f"The path has {risky[0].decode()} in it, which is not taken here.")
    decoded = unquote_to_bytes(raw_path)
    if _ESCAPED.search(decoded):
        raise AmbiguousRequest("The path is percent-encoded twice.")
    if b"//" in decoded:
        raise AmbiguousRequest("The path has an empty segment in it (//).")
    if _DOTS.search(decoded):
        raise AmbiguousRequest("The path has a segment . or .. in it; send it resolved.")
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousRequest("The path is not UTF-8 where it is percent-encoded.") from None

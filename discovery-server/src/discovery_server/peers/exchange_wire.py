"""How the bodies of an exchange are written: lists of entries that are written already, and names in them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from discovery_server.registry.leases import Name
from discovery_server.registry.state import Version

Renewal = tuple[str, str, Version, float]  # application, id, version, how many seconds ago

# A quarter of what a server reads by default (MAX_BODY_BYTES), and some 20 ms of work for either side.
PAGE_BYTES = 256 * 1024


def is_within(app: str, start: str | None, until: str | None) -> bool:
    return (start is None or app >= start) and (until is None or app < until)


def name_of(entry: object) -> Name | None:
    match entry:
        case [str(app), str(key)]:
            return app, key
    return None


def with_lists(body: Mapping[str, Any], **lists: Sequence[bytes]) -> bytes:
    """An object of JSON with lists whose entries are written already."""
    written = [b'"%s":[%s]' % (name.encode(), b",".join(entries)) for name, entries in lists.items()]
    return b"%s,%s}" % (dump(body)[:-1], b",".join(written))


def dump(value: Any) -> bytes:
    # In ASCII: the sizes above count on it, and what is odd in a text can't become odd on the wire.
    return json.dumps(value, separators=(",", ":")).encode("ascii")

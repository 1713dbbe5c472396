"""Documents in the forms that readers ask for, until they are as they should be."""

import gzip
from collections.abc import Callable, Mapping

from chassis.testing.bench.load import Caller, LoadFailed, request
from chassis.testing.bench.processes import Server
from chassis.testing.waiting import until

FORMS = {
    "XML": {"Accept": "application/xml"},
    "JSON": {"Accept": "application/json"},
    "XML, gzip": {"Accept": "application/xml", "Accept-Encoding": "gzip"},
    "JSON, gzip": {"Accept": "application/json", "Accept-Encoding": "gzip"},
}
_GZIP = b"\x1f\x8b"
LONGEST_SECONDS = 200.0  # Eureka: two leases and a minute; its caches and its deltas are slower than that as well


async def until_body(
    server: Server,
    path: str,
    headers: Mapping[str, str],
    is_right: Callable[[bytes], bool],
    what: str,
    *,
    form: str = "JSON",
) -> None:
    """Ask for a document until it is right. Raises LoadFailed if it doesn't come to that."""
    caller = await Caller.connected(server.port)

    async def has_come() -> bool:
        head, body = await caller.ask(request(path, {**headers, **FORMS[form]}))
        return head[9:12] == b"200" and is_right(gzip.decompress(body) if body.startswith(_GZIP) else body)

    try:
        await until(has_come, timeout_seconds=LONGEST_SECONDS)
    except TimeoutError:
        raise LoadFailed(f"{path} has not come to {what} within {LONGEST_SECONDS:.0f} s") from None
    await caller.aclose()


def stands_in(text: bytes, body: bytes) -> bool:
    return text in body

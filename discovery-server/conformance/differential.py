"""The same request to the real server and to ours, and in which way the answers differ."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import httpx
from support.documents import normal

# Between what the tests' clients say of themselves (1,700,000,000,xxx) and what the servers' clocks say.
_LONG_AGO_MS = 1_750_000_000_000
_STAMPS = frozenset(
    {
        "registrationTimestamp",
        "lastRenewalTimestamp",
        "lastUpdatedTimestamp",
        "serviceUpTimestamp",
        "evictionTimestamp",
        "lastDirtyTimestamp",
    }
)


class Pair:
    """Both servers. `differences` has a line for each answer that was not equal."""

    def __init__(self, real: str, ours: str, client: httpx.AsyncClient) -> None:
        self.requests = 0
        self.differences: list[str] = []
        self._real, self._ours = real, ours
        self._client = client

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | bytes | None = None
    ) -> str | None:
        """How the answers differ; nothing where they do only in what the README calls deliberate."""
        theirs, ours = [
            await self._client.send(httpx.Request(method, f"{base}{path}", headers=headers, content=body))
            for base in (self._real, self._ours)
        ]
        self.requests += 1
        difference = _difference(theirs, ours, is_delta="delta" in path)
        if difference:
            self.differences.append(f"{method} {path} {dict(headers or {})} {str(body or '')[:600]}: {difference}")
        return difference

    async def read(self, path: str) -> None:
        """In each form that a document has."""
        for accept in ("application/json", "application/xml"):
            for form in ("full", "compact"):
                await self.ask("GET", path, {"Accept": accept, "X-Eureka-Accept": form})

    async def register(self, app: str, instance: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"instance": instance})
        await self.ask("POST", f"apps/{app}", {"Content-Type": "application/json", **(headers or {})}, body)

    def since(self, before: int) -> str:
        """What differed since there were so many differences, to be shown; empty if nothing did."""
        return "\n".join(self.differences[before : before + 25])


def _difference(theirs: httpx.Response, ours: httpx.Response, *, is_delta: bool) -> str | None:
    if theirs.status_code >= 500:
        return None if 400 <= ours.status_code < 500 else f"they fail, ours is a {ours.status_code}"
    if theirs.status_code != ours.status_code:
        return f"{theirs.status_code} {theirs.text[:200]!r}, ours {ours.status_code} {_reason(ours)}"
    if ours.status_code >= 400 and ours.status_code != 409:
        return None if not ours.content else f"our error has the body {ours.text[:200]}"
    for name in ("content-type", "content-encoding"):
        their, our = theirs.headers.get(name), ours.headers.get(name)
        if their != our and not _is_mislabelled(theirs):
            return f"{name} {their!r}, ours {our!r}"
    blank = _blank_in_delta if is_delta else _blank
    their_document, our_document = normal(theirs.text, blank), normal(ours.text, blank)
    return "; ".join(islice(_where(their_document, our_document), 10)) or None


def _blank(name: str, value: str | int) -> str | int:
    """Times of the servers' clocks; a 0 stays, and so does what clients say."""
    if name in _STAMPS and str(value).isdecimal() and int(value) > _LONG_AGO_MS:
        return f"{type(value).__name__} now"
    return value


def _blank_in_delta(name: str, value: str | int) -> str | int:
    """The version as well: theirs counts answers, ours changes."""
    return "a version" if name == "versions__delta" else _blank(name, value)


def _is_mislabelled(answer: httpx.Response) -> bool:
    """They call JSON XML where both are accepted."""
    return answer.text.startswith("{") and answer.headers.get("content-type") == "application/xml"


def _reason(answer: httpx.Response) -> str:
    return answer.headers.get("x-discovery-error") or answer.text[:200]


def _where(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    if theirs == ours:
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}):
            yield from _where(theirs.get(name, "(none)"), ours.get(name, "(none)"), f"{path}/{name}")
    elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple) and len(theirs) == len(ours):
        for index, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from _where(*pair, f"{path}[{index}]")
    else:
        yield f"{path} is {str(theirs)[:200]}, ours {str(ours)[:200]}"

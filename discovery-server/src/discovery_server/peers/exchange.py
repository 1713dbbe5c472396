"""What two of our servers say to each other: which applications differ, the states of those, renewals; paged.

`POST peerreplication/digests` takes `{server, digests: {application: digest}, from, until, after}`: the digests of all
applications from one name until another (each may be missing: no bound). It answers `{server, complete, differ:
[application], states, next}`, with the states of those that differ, beginning `after` the `[application, id]` that the
last page named as `next`. `complete` is false while the server itself still waits for its peers.

`POST peerreplication/states` takes `{server, states, renewals: [[application, id, version, age in seconds]]}` and
answers `{server, states, unknown: [[application, id]], refused: [reason]}`: the states that are newer there, and the
renewals of what is not known there in that version.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import State
from discovery_server.wire.state_codec import read_states, shown, write_state, write_version

from .client import PageRefused, PeerAway, PeerClient
from .exchange_wire import PAGE_BYTES, Renewal, dump, is_within, name_of, with_lists

logger = logging.getLogger(__name__)

_PAGE_STATES = 250
_DIGESTS_BYTES = 256 * 1024


class ItIsMe(Exception):
    """The address leads back to this server."""


@dataclass(slots=True)
class Outcome:
    """What came of some calls."""

    server: str = ""
    complete: bool = True
    differed: set[str] = field(default_factory=set)  # applications
    taken: int = 0
    sent: int = 0
    unknown: list[Name] = field(default_factory=list)


async def exchange(registry: Registry, client: PeerClient) -> Outcome:
    """Push and pull until both know the same, as far as it was known when this began.

    Raises PeerAway, PeerUnlike, ItIsMe.
    """
    outcome = Outcome()
    digests = registry.digests()
    for start, until in _ranges(digests):
        asked = {app: digest for app, digest in digests.items() if is_within(app, start, until)}
        differ, heard, newer = await _pull(registry, client, asked, start, until, outcome)
        if differ:
            lacking = [s for s in registry.states_of(differ) if (s.app, s.key) not in heard or (s.app, s.key) in newer]
            await tell(registry, client, lacking, [], outcome)
    return outcome


async def tell(
    registry: Registry, client: PeerClient, states: Iterable[State], renewals: Sequence[Renewal], outcome: Outcome
) -> None:
    """Push states and renewals; takes what is newer at the other side. Raises PeerAway, PeerUnlike, ItIsMe."""
    for page in _pages(states, renewals):
        body = with_lists({"server": registry.server_id}, states=page.states, renewals=page.renewals)
        try:
            answer = await client.post("peerreplication/states", body)
        except PageRefused:
            logger.warning("a peer takes no page of %d states: MAX_BODY_BYTES is too small there", len(page.states))
            continue
        _note_server(answer, registry, outcome)
        outcome.sent += len(page.states)
        newer = _read_states(answer)
        registry.merge(newer)
        outcome.taken += len(newer)
        outcome.unknown += [name for entry in _list(answer, "unknown") if (name := name_of(entry)) is not None]
        for reason in _list(answer, "refused"):
            logger.warning("a peer does not take %s", shown(reason))


async def _pull(
    registry: Registry,
    client: PeerClient,
    digests: Mapping[str, str],
    start: str | None,
    until: str | None,
    outcome: Outcome,
) -> tuple[set[str], set[Name], set[Name]]:
    """The applications that differ; the names of the states heard; those of which ours are newer."""
    differ: set[str] = set()
    heard: set[Name] = set()
    newer: set[Name] = set()
    after: Name | None = None
    while True:
        asked = {"server": registry.server_id, "digests": digests, "from": start, "until": until, "after": after}
        answer = await client.post("peerreplication/digests", dump(asked))
        _note_server(answer, registry, outcome)
        outcome.complete = outcome.complete and answer.get("complete") is not False
        differ |= {app for app in _list(answer, "differ") if isinstance(app, str)}
        outcome.differed |= differ
        states = _read_states(answer)
        newer.update(registry.merge(states))
        heard.update((state.app, state.key) for state in states)
        outcome.taken += len(states)
        following = name_of(answer.get("next"))
        if following is None:
            return differ, heard, newer
        if after is not None and following <= after:
            raise PeerAway("its pages do not end")
        after = following


@dataclass(slots=True)
class _Page:
    states: list[bytes] = field(default_factory=list)
    renewals: list[bytes] = field(default_factory=list)
    size: int = 0


def _pages(states: Iterable[State], renewals: Sequence[Renewal]) -> Iterator[_Page]:
    page = _Page()
    for state in states:
        written = dump(write_state(state))
        if page.states and (page.size + len(written) > PAGE_BYTES or len(page.states) == _PAGE_STATES):
            yield page
            page = _Page()
        page.states.append(written)
        page.size += len(written)
    for app, key, version, silent_seconds in renewals:
        written = dump([app, key, write_version(version), round(silent_seconds, 3)])
        if page.size + len(written) > PAGE_BYTES:
            yield page
            page = _Page()
        page.renewals.append(written)
        page.size += len(written)
    if page.states or page.renewals:
        yield page


def _ranges(digests: Mapping[str, str]) -> Iterator[tuple[str | None, str | None]]:
    """From which name until which the digests are sent in one request; one range unless there are very many."""
    start, size = None, 0
    for app in sorted(digests):
        size += 6 * len(app) + 40
        if size > _DIGESTS_BYTES:
            yield start, app
            start, size = app, 6 * len(app) + 40
    yield start, None


def _read_states(answer: Mapping[str, Any]) -> list[State]:
    states, refusals = read_states(_list(answer, "states"))
    for refusal in refusals:
        logger.warning("a peer sent what is not taken: %s", refusal)
    return states


def _note_server(answer: Mapping[str, Any], registry: Registry, outcome: Outcome) -> None:
    server = answer.get("server")
    if not isinstance(server, str) or not server:
        raise PeerAway("its answer names no server")
    if server == registry.server_id:
        raise ItIsMe
    outcome.server = server


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    found = answer.get(name, [])
    if not isinstance(found, list):
        raise PeerAway(f"{name} in its answer is no list")
    return found

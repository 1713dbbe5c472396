"""The answering side of an exchange: what differs, page by page; states and renewals taken in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import State
from discovery_server.wire.state_codec import read_states, read_version, shown, write_state

from .exchange_wire import PAGE_BYTES, Renewal, dump, is_within, name_of, with_lists


@dataclass(frozen=True, slots=True)
class DigestsAsked:
    """A request for states that differ, as it was read."""

    digests: Mapping[str, str]
    start: str | None
    until: str | None
    after: Name | None

    @classmethod
    def read(cls, sent: Mapping[str, Any]) -> "DigestsAsked":
        """Raises ValueError."""
        digests, after = sent.get("digests"), sent.get("after")
        if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
            raise ValueError("digests has to be an object of texts")
        bounds = sent.get("from"), sent.get("until")
        if not all(bound is None or isinstance(bound, str) for bound in bounds):
            raise ValueError("from and until have to be names of applications")
        if after is not None and name_of(after) is None:
            raise ValueError("after has to be [application, id]")
        return cls(digests, *bounds, name_of(after))


def answer_digests(registry: Registry, asked: DigestsAsked, *, complete: bool) -> bytes:
    """One page of the states that the asking server may lack."""
    ours = {app: digest for app, digest in registry.digests().items() if is_within(app, asked.start, asked.until)}
    differ = sorted(app for app in ours.keys() | asked.digests.keys() if ours.get(app) != asked.digests.get(app))
    written, following = _page_of(registry, differ, asked.after)
    answer = {"server": registry.server_id, "complete": complete, "differ": differ, "next": following}
    return with_lists(answer, states=written)


def _page_of(registry: Registry, apps: Sequence[str], after: Name | None) -> tuple[list[bytes], Name | None]:
    """States of these applications, by name, as many as fit; and the name of the last one if there are more."""
    written: list[bytes] = []
    size, last = 0, after
    for app in apps:
        if after is not None and app < after[0]:
            continue
        for state in sorted(registry.states_of([app]), key=_key_of):
            if after is not None and _key_of(state) <= after:
                continue
            if size > PAGE_BYTES:
                return written, last
            written.append(dump(write_state(state)))
            size += len(written[-1])
            last = _key_of(state)
    return written, None


def answer_states(registry: Registry, sent: Mapping[str, Any]) -> bytes:
    """Take states and renewals in, and say what is newer here or not known. Raises ValueError, with nothing taken."""
    entries, heard = sent.get("states"), sent.get("renewals", [])
    if not isinstance(entries, list) or not isinstance(heard, list):
        raise ValueError("states and renewals have to be lists")
    states, refused = read_states(entries)
    newer = _newer(registry, states)
    unknown = []
    for entry in heard:
        renewal = _renewal(entry)
        if renewal is None:
            refused.append(f"a renewal: {shown(entry)}")
        elif not registry.mark_renewed(*renewal):
            unknown.append(renewal[:2])
    return with_lists({"server": registry.server_id, "unknown": unknown, "refused": refused}, states=newer)


def _newer(registry: Registry, states: Sequence[State]) -> list[bytes]:
    """Take states in; answers ours where they are newer, one page of them: the next comparison tells the others."""
    newer: list[bytes] = []
    for name in registry.merge(states):
        state = registry.state(*name)
        if state is not None and sum(map(len, newer)) < PAGE_BYTES:
            newer.append(dump(write_state(state)))
    return newer


def _renewal(entry: object) -> Renewal | None:
    match entry:
        case [str(app), str(key), version, int() | float() as silent_seconds] if silent_seconds >= 0:
            try:
                return app, key, read_version(version), float(silent_seconds)
            except (ValueError, TypeError, OverflowError):
                return None
    return None


def _key_of(state: State) -> Name:
    return state.app, state.key

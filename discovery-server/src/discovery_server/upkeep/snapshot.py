"""The registry on disk, so that a server that starts again knows whom it knew (promise D6)."""

import asyncio
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from discovery_server.metrics import SNAPSHOTS
from discovery_server.registry.leases import Event
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import State
from discovery_server.wire.state_codec import read_states, write_state

logger = logging.getLogger(__name__)

_FORMAT = "flotilla-discovery-registry/1"
_CHECKSUM = b'\n"sha256": '  # of everything before it; a text of JSON has no line break in it

# Who ran a day ago is no better a guess than nobody: readers would get the dead until their leases have run out.
_OLDEST_SECONDS = 24 * 3600.0

# Writing takes this share of the time at most, however large the registry is and however often it changes.
_BUSY_SHARE = 0.1
_SHORTEST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 600.0
_STATES_AT_ONCE = 250  # gathered before requests have their turn

# More changes than a process can make between its last snapshot and its end.
_VERSIONS_APART = 1_000_000


class SnapshotUnreadable(Exception):
    """The file is torn, was changed, or is something else; the message says which."""


@dataclass(frozen=True, slots=True)
class _Head:
    """What a snapshot says of itself, beside the states."""

    saved_ms: int
    saved_seconds: float  # of the steady clock, which goes on from process to process while the machine runs
    boot: str
    version: int

    def age_seconds(self, now: "_Head") -> float:
        """By the steady clock if that is the same one: the wall's may have been set meanwhile."""
        if self.boot and self.boot == now.boot:
            return now.saved_seconds - self.saved_seconds
        return (now.saved_ms - self.saved_ms) / 1000


class Snapshot:
    """A registry's file. Only its owner may read it: metadata can hold anything."""

    def __init__(self, registry: Registry, path: Path) -> None:
        self._registry = registry
        self._path = path
        self._changed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        registry.listen(self._note)

    def load(self) -> int:
        """Take in what the file holds, with leases that begin now; answers how many instances are known by that.

        What can't be used is told of and, if it is no snapshot, put aside: the server starts without it.
        """
        try:
            head, states = _read(self._path.read_bytes())
        except FileNotFoundError:
            return 0
        except OSError as error:
            SNAPSHOTS.labels("unreadable").inc()
            logger.error("the snapshot can't be read, the registry starts empty: %s", error)
            return 0
        except SnapshotUnreadable as problem:
            SNAPSHOTS.labels("unreadable").inc()
            self._put_aside(problem)
            return 0
        # A reader skips a delta of the version that it knows, and the wall clock may have been set back.
        self._registry.version = max(self._registry.version, head.version + _VERSIONS_APART)
        age_seconds = max(0.0, head.age_seconds(self._head()))
        if age_seconds > _OLDEST_SECONDS:
            logger.warning("the snapshot is %.0f h old and not taken: the registry starts empty", age_seconds / 3600)
            return 0
        self._registry.merge(states, fresh=True)
        self._registry.arrivals.clear()  # they had come before
        SNAPSHOTS.labels("loaded").inc()
        number = sum(state.instance is not None for state in states)
        logger.info("%d instances are known from the snapshot of %.0f s ago", number, age_seconds)
        return number

    async def run(self) -> None:
        """Write it soon after each change, and now and then for its age; to be run as a supervised task."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LONGEST_PAUSE_SECONDS)
            started = time.monotonic()
            await self.save()
            busy_seconds = time.monotonic() - started
            await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, busy_seconds / _BUSY_SHARE))

    async def save(self) -> None:
        """Write it now. A failure is told of once, and tried again with the next save."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])  # left by a save that was cancelled: its thread goes on
        self._changed.clear()
        head, states = self._head(), []
        # Changes in between are all right: each state is true for itself, and the next snapshot has what changed.
        for number, state in enumerate(self._registry.states(run_out=True)):
            states.append(state)
            if number % _STATES_AT_ONCE == _STATES_AT_ONCE - 1:
                await asyncio.sleep(0)
        self._writing = asyncio.create_task(asyncio.to_thread(_write, self._path, head, states))
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            self._changed.set()
            SNAPSHOTS.labels("failed").inc()
            if not self._failing:
                logger.error("the snapshot can't be written, a restart would know an older registry: %s", error)
            self._failing = True
        else:
            SNAPSHOTS.labels("written").inc()
            self._failing = False

    def _note(self, _: Event) -> None:
        self._changed.set()

    def _head(self) -> _Head:
        clock = self._registry.clock
        return _Head(clock.wall_ms(), clock.monotonic_seconds(), _boot(), self._registry.version)

    def _put_aside(self, problem: SnapshotUnreadable) -> None:
        aside = self._path.with_name(f"{self._path.name}.unreadable")
        try:
            self._path.replace(aside)
        except OSError as error:
            logger.error(
                "the snapshot %s %s; the registry starts empty, and it can't be kept: %s", self._path, problem, error
            )
        else:
            logger.error("the snapshot %s %s; it is kept as %s, the registry starts empty", self._path, problem, aside)


def _write(path: Path, head: _Head, states: list[State]) -> None:
    """Raises OSError; there is always a whole file at the path, the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = _encode(head, states)
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # it may have been there
        file.write(body)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _encode(head: _Head, states: list[State]) -> bytes:
    lines = b",\n".join(json.dumps(write_state(state), separators=(",", ":")).encode("ascii") for state in states)
    said = {
        "format": _FORMAT,
        "saved_ms": head.saved_ms,
        "saved_seconds": head.saved_seconds,
        "boot": head.boot,
        "version": head.version,
    }
    content = b'{"head": %b,\n"states": [\n%b\n],' % (json.dumps(said).encode("ascii"), lines)
    return content + _CHECKSUM + _tail_of(content)


def _tail_of(content: bytes) -> bytes:
    return b'"%b"}\n' % sha256(content).hexdigest().encode("ascii")


def _read(body: bytes) -> tuple[_Head, list[State]]:
    content, mark, tail = body.rpartition(_CHECKSUM)
    if not mark:
        raise SnapshotUnreadable("is torn, or no snapshot at all")
    if tail != _tail_of(content):
        raise SnapshotUnreadable("is torn, or was changed after it had been written")
    try:
        document = json.loads(body)
        head = _read_head(document["head"])
        states, refusals = read_states(document["states"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise SnapshotUnreadable(f"can't be read: {type(error).__name__}: {str(error)[:200]}") from error
    for refusal in refusals:
        logger.warning("the snapshot has something in it that is not taken: %s", refusal)
    return head, states


def _read_head(sent: Any) -> _Head:
    if sent["format"] != _FORMAT:
        raise SnapshotUnreadable(f"has the format {str(sent['format'])[:80]!r}, which is not ours")
    return _Head(int(sent["saved_ms"]), float(sent["saved_seconds"]), str(sent["boot"]), int(sent["version"]))


def _boot() -> str:
    """Names the time since the machine started; empty where that is not known, as on macOS."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

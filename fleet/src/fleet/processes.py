"""Processes of this machine: the same one or a stranger with its number, how to end one, and what memory it takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, known by its number and when it started, since numbers are used again."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        return cls(pid, _start_of(pid) or "")

    def is_running(self) -> bool:
        return bool(self.started) and _start_of(self.pid) == self.started


def end(processes: Mapping[ProcessId, signal.Signals], *, grace_seconds: float = 0.0) -> None:
    """End each process by its signal and wait; by SIGKILL after the grace. Those gone already are fine."""
    for process, how in processes.items():
        _send(process, how)
    if not have_ended(processes, grace_seconds):
        for process in processes:
            _send(process, signal.SIGKILL)
        have_ended(processes, 5.0)


def have_ended(processes: Iterable[ProcessId], patience_seconds: float) -> bool:
    """Whether all of them have ended, waiting for it a while."""
    deadline = time.monotonic() + patience_seconds
    while any(process.is_running() for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def _send(process: ProcessId, how: signal.Signals) -> None:
    if process.is_running():
        try:
            os.kill(process.pid, how)
        except ProcessLookupError:
            return


def _start_of(pid: int) -> str | None:
    """When the process started, in whatever words the system has for it; None if there is none, or a zombie."""
    if sys.platform == "linux":
        try:
            # proc(5): the command in parentheses may hold anything, so what follows the last one is read.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, start_ticks = fields[0], fields[19]
        return None if state in "ZX" else start_ticks
    told = subprocess.run(  # noqa: S603 - a number is the only argument
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return None if not told or told.startswith("Z") else told.partition(" ")[2]


def memory_bytes(pid: int) -> int | None:
    """What a process and its children take, each shared page counted once among those who share it (PSS).

    None where the system does not tell.
    """
    own = _pss_bytes(pid)
    if own is None:
        return None
    return own + sum(memory_bytes(child) or 0 for child in _children_of(pid))


def own_memory_bytes(pid: int) -> int | None:
    """As `memory_bytes`, without the children."""
    return _pss_bytes(pid)


def _pss_bytes(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _children_of(pid: int) -> list[int]:
    children = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            continue
    return children

"""Keeps processes running: starts them, sees when they are ready, starts the dead ones again, ends them in order."""

import contextlib
import http.client
import logging
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Protocol

from chassis.postgres_programs import last_lines

from .plan import Part
from .processes import ProcessId, end
from .report import ProcessReport
from .state import FleetProblem, read_json, write_json

logger = logging.getLogger(__name__)

_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
_STEADY_SECONDS = 10.0
_DEATHS_WHILE_STARTING = 3
_READY_LOOK_SECONDS = 0.02
_IDLE_SECONDS = 1.0
_ANSWER_SECONDS = 0.5
_GRACE_SECONDS = 15.0
_LOG_BYTES_TOLD = 4096


class Running(Protocol):
    """A child of this process."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""


class Kept:
    """One part, kept running."""

    end_by = signal.SIGTERM

    def __init__(self, part: Part, start: Callable[[Part], Running], log: Path) -> None:
        self.part = part
        self.report = ProcessReport(name=part.name, url=part.url)
        self._start = start
        self._log = log
        self._running: Running | None = None
        self._deaths_in_a_row = 0
        self._start_at = 0.0  # on the monotonic clock
        self._started_at = 0.0
        self._log_began_at = 0  # what is before is of an earlier process

    @property
    def process(self) -> ProcessId | None:
        return ProcessId.of(self._running.pid) if self._running is not None else None

    def start_if_due(self) -> bool:
        """Whether it was started now."""
        if self._running is not None or time.monotonic() < self._start_at:
            return False
        self._log_began_at = self._log.stat().st_size if self._log.exists() else 0
        try:
            self._running = self._start(self.part)
        except OSError as error:
            self._count_death(str(error))
            return False
        self._started_at = time.monotonic()
        self.report.condition, self.report.pid, self.report.started_at = "starting", self._running.pid, time.time()
        logger.info("%s is started (pid %d)", self.part.name, self._running.pid)
        return True

    def notice_death(self) -> bool:
        """Whether it has died since the last look."""
        if self._running is None or (exit_code := self._running.poll()) is None:
            return False
        # Somebody killed it: that says nothing against starting it again at once.
        if exit_code == -signal.SIGKILL or time.monotonic() - self._started_at > _STEADY_SECONDS:
            self._deaths_in_a_row = 0
        how = (
            f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with exit code {exit_code}"
        )
        self._count_death(f"{how}; the end of its log: {self.end_of_log()}")
        return True

    def notice_ready(self) -> bool:
        """Whether it has become ready since the last look."""
        if self.report.condition != "starting" or not self.is_ready():
            return False
        self.report.condition = "ready"
        logger.info("%s is ready after %.2f s", self.part.name, time.monotonic() - self._started_at)
        return True

    def is_ready(self) -> bool:
        if self.part.ready_when == "it listens":
            return _takes_connections(self.part.port)
        return _says_that_it_is_ready(self.part.port)

    def keeps_dying(self) -> bool:
        return self._deaths_in_a_row >= _DEATHS_WHILE_STARTING

    def end_of_log(self) -> str:
        """Its last lines, as one."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(self._log_began_at, self._log.stat().st_size - _LOG_BYTES_TOLD))
                return last_lines(log.read().decode(errors="replace"))
        except OSError:
            return "it has none"

    @property
    def seconds_until_start(self) -> float | None:
        return None if self._running is not None else max(0.0, self._start_at - time.monotonic())

    def forget(self) -> None:
        """It was ended on purpose."""
        if self._running is not None:
            self._running.poll()
        self._running = None
        self.report.condition, self.report.pid = "stopped", None

    def _count_death(self, how: str) -> None:
        pause = _BACKOFF_SECONDS[min(self._deaths_in_a_row, len(_BACKOFF_SECONDS) - 1)]
        self._running = None
        self._deaths_in_a_row += 1
        self._start_at = time.monotonic() + pause
        self.report.condition, self.report.pid, self.report.last_death = "down", None, how
        self.report.restarts += 1
        logger.warning("%s %s; it is started again in %.1f s", self.part.name, how, pause)


class Watch:
    """Keeps parts running until it is told to stop, by SIGTERM or SIGINT.

    A plain loop without threads or an event loop, because this process forks.
    """

    def __init__(self, pids: Path, on_change: Callable[[], None]) -> None:
        self.kept: list[Kept] = []
        self.is_stopping = False
        self._pids = pids
        self._on_change = on_change
        # Any signal makes the wait end: the interpreter writes its number here.
        self._wakes, self._wakeup = socket.socketpair()
        self._wakes.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # ignored, it would wake nobody
        for stops in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(stops, self._ask_to_stop)

    def begin(self, *kept: Kept) -> None:
        """Start these, and keep them running from now on; nothing is started any more once this is to stop."""
        self.kept += kept
        if not self.is_stopping:
            self._look()

    def wait_until(self, is_done: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once `is_done` says so, or this is to stop.

        Raises FleetProblem, naming a part and the last lines of its log, when that can't be.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_stopping:
            self._look()
            if is_done():
                return
            for one in self.kept:
                if one.keeps_dying():
                    raise FleetProblem(f"{one.part.name} does not start: {one.report.last_death}")
            if time.monotonic() > deadline:
                raise FleetProblem(self._what_is_late(timeout_seconds))
            self._wait(_READY_LOOK_SECONDS)

    def is_ready(self) -> bool:
        """Whether all parts are."""
        return all(one.report.condition == "ready" for one in self.kept)

    def _what_is_late(self, timeout_seconds: float) -> str:
        late = [one for one in self.kept if one.report.condition != "ready"]
        if not late:
            return f"All parts are ready, but the gateway does not reach all of them after {timeout_seconds:.0f} s."
        names = ", ".join(one.part.name for one in late)
        return f"Not ready after {timeout_seconds:.0f} s: {names}; the end of its log: {late[0].end_of_log()}"

    def keep(self, *, also: Callable[[], None]) -> None:
        """Keep everything running until this is to stop, doing something else about once a second."""
        also_at = 0.0
        while not self.is_stopping:
            self._look()
            if time.monotonic() >= also_at:
                also()
                also_at = time.monotonic() + _IDLE_SECONDS
            is_starting = any(one.report.condition == "starting" for one in self.kept)
            pauses = [_READY_LOOK_SECONDS if is_starting else _IDLE_SECONDS]
            pauses += [pause for one in self.kept if (pause := one.seconds_until_start) is not None]
            self._wait(min(pauses))

    def stop(self) -> None:
        """End all parts: the last wave first, each wave at once."""
        for wave in sorted({one.part.wave for one in self.kept}, reverse=True):
            ending = [one for one in self.kept if one.part.wave == wave]
            end(
                {process: one.end_by for one in ending if (process := one.process) is not None},
                grace_seconds=_GRACE_SECONDS,
            )
            for one in ending:
                one.forget()
                (self._pids / f"{one.part.name}.json").unlink(missing_ok=True)
            self._on_change()

    def _look(self) -> None:
        changes = False
        for one in self.kept:
            changes |= one.notice_death()
            if one.start_if_due():
                changes = True
                self._remember(one)
            changes |= one.notice_ready()
        if changes:
            self._on_change()

    def _remember(self, one: Kept) -> None:
        if (process := one.process) is not None:
            with contextlib.suppress(OSError):  # a disk that has become full is no reason to end what runs
                write_json(self._pids / f"{one.part.name}.json", asdict(process))

    def _wait(self, seconds: float) -> None:
        if select.select([self._wakes], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._wakes.recv(4096)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True


def end_leftovers(pids: Path) -> None:
    """End what a supervisor that was killed has left behind; a stranger with such a number is not touched."""
    left = {}
    for file in pids.glob("*.json"):
        if (found := read_json(file)) is not None and found.keys() == {"pid", "started"}:
            left[ProcessId(**found)] = signal.SIGKILL  # it may be half dead, and is made to survive this
        file.unlink()
    end(left, grace_seconds=_GRACE_SECONDS)


def _takes_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS):
        return True
    return False


def _says_that_it_is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/actuator/health/readiness")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""Begins and ends the supervisor, from outside of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from chassis.local_postgres import LocalPostgres
from chassis.postgres_programs import last_lines

from .plan import Options
from .processes import ProcessId, end, have_ended
from .report import Report
from .state import LOG_NAME, FleetProblem, Home
from .watch import end_leftovers

# glibc's malloc: one heap rather than one for each thread (seen to save 15 MiB in the whole fleet), and large blocks
# given back when they are freed, however large those before were (20 MiB: what a password's hash takes).
_LEAN = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(1024 * 1024),
}

_LOOK_SECONDS = 0.05
_STOP_SECONDS = 60.0


def begin(home: Home, options: Options) -> subprocess.Popen[bytes]:
    """Start the supervisor in the background, in a session of its own: it outlives the terminal."""
    log = home.open_log(LOG_NAME)
    try:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "fleet.supervisor", str(home.project), options.to_json()],
            env={**_LEAN, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)


def follow(home: Home, supervisor: subprocess.Popen[bytes] | None) -> Iterator[Report]:
    """The supervisor's reports as they come, until one says that everything is ready.

    Raises FleetProblem when it can't be started, or ends.
    """
    while True:
        has_ended = supervisor.poll() is not None if supervisor else not home.is_supervised()
        if has_ended and supervisor and supervisor.returncode == 0 and home.is_supervised():
            supervisor = None  # it stepped back, because somebody else was quicker
            continue
        report = Report.read(home)
        if report is not None and _is_of(report, supervisor):
            if report.phase == "failed":
                if supervisor is not None:
                    supervisor.wait()
                problem = report.problem.rstrip(".")
                raise FleetProblem(f"{problem}. Nothing is left running; the logs are in {home.logs}.")
            yield report
            if report.phase == "ready":
                return
        if has_ended:
            raise FleetProblem(f"The supervisor has ended; the end of its log: {_end_of_its_log(home)}")
        time.sleep(_LOOK_SECONDS)


def stop(home: Home, on_look: Callable[[Report | None], None] = lambda report: None) -> bool:
    """End the fleet and wait until nothing of it is left; False if there was nothing to end."""
    if not home.run.is_dir():
        return False
    was_there = home.is_supervised()
    deadline = time.monotonic() + _STOP_SECONDS
    asked: ProcessId | None = None
    while home.is_supervised():
        report = Report.read(home)
        on_look(report)
        if report is not None:
            supervisor = ProcessId(report.supervisor, report.supervisor_started)
            if asked != supervisor and supervisor.is_running():
                os.kill(supervisor.pid, signal.SIGTERM)
                asked = supervisor
            if time.monotonic() > deadline:
                end({supervisor: signal.SIGKILL})
        if time.monotonic() > deadline + _STOP_SECONDS:
            raise FleetProblem(f"The supervisor does not end; {home.log_of(LOG_NAME)} may say why.")
        time.sleep(_LOOK_SECONDS)
    if asked is not None:
        have_ended([asked], _STOP_SECONDS)  # it lets go of the lock some moments before
    end_leftovers(home.pids)
    LocalPostgres(home.data / "postgres").stop()
    home.fleet_file.unlink(missing_ok=True)
    home.report_file.unlink(missing_ok=True)
    return was_there


def _is_of(report: Report, supervisor: subprocess.Popen[bytes] | None) -> bool:
    """Whether a report is this supervisor's (or that of one which runs), and not one that an earlier one has left."""
    if supervisor is not None:
        return report.supervisor == supervisor.pid
    return ProcessId(report.supervisor, report.supervisor_started).is_running()


def _end_of_its_log(home: Home) -> str:
    try:
        return last_lines(home.log_of(LOG_NAME).read_text(errors="replace"))
    except OSError:
        return "it has none"

"""A fleet of tiny services under a real supervisor, and what of a fleet is running."""

import json
import os
import subprocess
import sys
from pathlib import Path

from fleet import launch
from fleet.processes import ProcessId
from fleet.report import Report
from fleet.state import Home

from . import tiny_fleet


class TinyFleet:
    """A supervisor with tiny services, each part a dict of its name, its wave, and its environment."""

    def __init__(self, home: Home, *parts: dict[str, str], with_imports: bool = False) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, tiny_fleet.__file__, str(home.project), json.dumps(parts)],
            stdout=os.open(home.log_of("fleet"), os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            stderr=subprocess.STDOUT,
            env={**os.environ, "IMPORT": "everything" if with_imports else "nothing"},
            start_new_session=True,
        )

    def wait_until_ready(self) -> Report:
        *_, last = launch.follow(self.home, self.process)
        return last

    def report(self) -> Report:
        report = Report.read(self.home)
        assert report is not None
        return report

    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self.report().processes if process.pid is not None}

    def log(self) -> str:
        return self.home.log_of("fleet").read_text()


def processes_of(home: Home) -> list[str]:
    """What runs for a home: every process of its fleet writes to a log there, or has the folder in its command."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            outputs = [str((entry / "fd" / number).readlink()) for number in ("1", "2")]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        is_ours = any(output.startswith(f"{home.run}/") for output in outputs) or str(home.run) in command
        if is_ours and ProcessId.of(int(entry.name)).started:
            found.append(f"{entry.name} {command}")
    return found

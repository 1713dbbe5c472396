"""Parts as programs of their own, where they can't be forked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from chassis.testing.waiting import wait_until

from fleet.plan import Part, Wave
from fleet.ports import free_port
from fleet.processes import ProcessId
from fleet.spawn import spawn
from fleet.state import Home
from fleet.watch import Kept, Running

_SUPPORT = str(Path(__file__).parent)


def _part(**environment: str) -> Part:
    port = free_port()
    said = {"PYTHONPATH": _SUPPORT, "HOST": "127.0.0.1", "PORT": str(port), **environment}
    return Part(name="one", wave=Wave.SERVICES, port=port, entry="support.tiny_service", environment=said)


def test_it_runs_as_python_m_with_its_own_environment_and_log(home: Home) -> None:
    def start(part: Part) -> Running:
        return spawn(part, home.open_log("one"))

    kept = Kept(_part(NAME="spawned"), start, home.log_of("one"))

    assert kept.start_if_due()
    wait_until(kept.notice_ready, "it is ready")

    assert home.log_of("one").read_text() == "spawned runs\n"
    process = kept.process
    assert process is not None
    os.kill(process.pid, signal.SIGTERM)
    wait_until(kept.notice_death, "it has ended")
    assert kept.report.last_death == "ended with exit code 0; the end of its log: spawned runs / ends well"


def test_it_ends_with_the_process_that_started_it(home: Home) -> None:
    code = """
import os, sys
from fleet.plan import Part, Wave
from fleet.spawn import spawn
part = Part(name="one", wave=Wave.SERVICES, port=int(os.environ["PORT"]), entry="support.tiny_service",
            environment=dict(os.environ))
print(spawn(part, 2).pid, flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **_part().environment}, stdin=-1, stdout=-1, stderr=-3
    )
    assert parent.stdout is not None
    child = ProcessId.of(int(parent.stdout.readline()))
    assert child.is_running()

    parent.kill()
    parent.communicate()

    wait_until(lambda: not child.is_running(), "the child has ended")

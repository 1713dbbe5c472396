"""Processes: the same one or a stranger, ended, and measured."""

import os
import signal
import subprocess
import sys

from chassis.testing.waiting import wait_until

from fleet.processes import ProcessId, end, memory_bytes, own_memory_bytes


def _sleeper(code: str = "") -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-S", "-c", f"{code}\nprint(flush=True)\ninput()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_process_is_known_by_when_it_started_as_well() -> None:
    me = ProcessId.of(os.getpid())

    assert me.is_running()
    assert not ProcessId(os.getpid(), "long ago").is_running()


def test_a_dead_process_that_nobody_has_waited_for_does_not_run() -> None:
    process = _sleeper()
    known = ProcessId.of(process.pid)

    os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: not known.is_running(), "it is a zombie")
    process.communicate()


def test_a_process_is_ended_by_the_signal_that_it_listens_to() -> None:
    process = _sleeper()

    end({ProcessId.of(process.pid): signal.SIGINT}, grace_seconds=10)

    assert process.wait() not in (0, -signal.SIGKILL)
    process.communicate()


def test_a_process_that_does_not_listen_is_killed_after_the_grace() -> None:
    process = _sleeper("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")

    end({ProcessId.of(process.pid): signal.SIGTERM}, grace_seconds=0.1)

    assert process.wait() == -signal.SIGKILL
    process.communicate()


def test_the_memory_of_a_process_includes_its_childrens() -> None:
    parent = _sleeper("import subprocess; subprocess.Popen(['sleep', '5'], stdout=subprocess.DEVNULL)")

    with_children, alone = memory_bytes(parent.pid), own_memory_bytes(parent.pid)

    assert with_children is not None
    assert alone is not None
    assert with_children > alone > 1_000_000
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()


def test_the_memory_of_a_process_that_is_gone_is_unknown() -> None:
    process = _sleeper()
    process.communicate(b"\n")

    assert memory_bytes(process.pid) is None

"""Brokers in processes of their own: how long they take to answer, and what memory and processor they use (Linux)."""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_METADATA = struct.Struct(">ihhihi?")  # length; API 3, version 5, correlation id, no client id; no topics, create none
_ANSWER = struct.Struct(">iiii")  # length, correlation id, throttle time, number of brokers
EMBEDDED, APACHE = "embedded-kafka", "Apache Kafka"


class CannotStart(Exception):
    """Why, in one sentence."""


@dataclass(frozen=True)
class Memory:
    """Resident bytes of the broker's process."""

    now_bytes: int
    most_bytes: int


class Broker:
    """A broker that has answered. Its launcher may have started it as yet another process: `pid` is the broker's."""

    def __init__(self, bootstrap: str, pid: int, version: str, start_seconds: float) -> None:
        self.bootstrap, self.version, self.start_seconds = bootstrap, version, start_seconds
        self._proc = Path("/proc", str(pid))

    def memory(self) -> Memory:
        """The most is what the kernel saw (VmHWM), not samples."""
        status = (self._proc / "status").read_text()
        return Memory(*(int(_found(rf"^{name}:\s+(\d+) kB", status)) * 1024 for name in ("VmRSS", "VmHWM")))

    def processor_seconds(self) -> float:
        """Of all its threads, since it was started."""
        after_name = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


@contextmanager
def running(name: str) -> Iterator[Broker]:
    """A fresh broker on an empty folder; in the end it is stopped and its data removed. Raises CannotStart."""
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder:
        data, said, port = Path(folder, "data"), Path(folder, "said"), _free_port()
        command = [sys.executable, "-m", "embedded_kafka"]
        environment = os.environ | {"KAFKA_DATA": str(data), "HOST": _HOST, "PORT": str(port)}
        if name == APACHE:
            command = [sys.executable, "-m", "chassis.local_kafka", "--data", str(data), "--port", str(port)]
        with said.open("wb") as output:
            begun = time.monotonic()
            process = subprocess.Popen(  # noqa: S603 - one of the two commands above
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            _wait_until_it_answers(process, port, said)
            start_seconds = time.monotonic() - begun
            ready = _ready_line(process, said)
            version = re.search(r" version=(\S+)", ready)
            yield Broker(
                f"{_HOST}:{port}", int(_found(r" pid=(\d+)", ready)), version[1] if version else "", start_seconds
            )
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int, said: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        _check_that_it_runs(process, said, deadline)
        time.sleep(0.005)


def _answers(port: int) -> bool:
    """Whether Metadata names at least one broker."""
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(_METADATA.pack(_METADATA.size - 4, 3, 5, 7, -1, 0, False))
            with connection.makefile("rb") as answer:
                return int(_ANSWER.unpack(answer.read(_ANSWER.size))[3]) > 0
    except (OSError, struct.error):
        return False


def _ready_line(process: "subprocess.Popen[bytes]", said: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while not (line := re.search(r"^ready .*\n", said.read_text(errors="replace"), re.MULTILINE)):
        _check_that_it_runs(process, said, deadline)
        time.sleep(0.005)
    return line[0]


def _check_that_it_runs(process: "subprocess.Popen[bytes]", said: Path, deadline: float) -> None:
    if process.poll() is not None:
        last_line = (said.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise CannotStart(f"it ended with exit code {process.returncode}: {last_line}")
    if time.monotonic() > deadline:
        raise CannotStart(f"it did not answer within {_START_SECONDS:.0f} s")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, f"{pattern} is not in {text!r}"
    return match[1]


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as probe:
        return int(probe.getsockname()[1])

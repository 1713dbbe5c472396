"""Servers in processes of their own: how long they take to answer, and what memory and processor they use (Linux)."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HOST = "127.0.0.1"
_START_SECONDS, _STOP_SECONDS, _BUILD_SECONDS = 120.0, 20.0, 600.0


class CannotStart(Exception):
    """Why, in one sentence."""


@dataclass(frozen=True)
class Server:
    """A server that has answered."""

    port: int
    pid: int
    start_seconds: float

    def memory_bytes(self) -> int:
        """The process's share of what lies in memory (PSS)."""
        rollup = Path("/proc", str(self.pid), "smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def processor_seconds(self) -> float:
        """Of all its threads, since it was started, to the nanosecond."""
        return time.clock_gettime((~self.pid << 3) | 2)  # the clock that clock_getcpuclockid(3) names


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    path: str,
    headers: Mapping[str, str],
    environment: Mapping[str, str],
    processor: int | None = None,
) -> Iterator[Server]:
    """The server, once it answers a GET of `path` with 200; it is stopped in the end. Raises CannotStart.

    `processor`: the only one that it may use; None: all.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        said = Path(folder, "said")
        with said.open("wb") as output, _on(processor):
            begun = time.monotonic()
            process = subprocess.Popen(  # noqa: S603 - the bench's own command
                command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_it_answers(name, process, port, path, headers, said)
            yield Server(port, process.pid, time.monotonic() - begun)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def built_jar(project: Path, folder: Path) -> Path:
    """The jar of a Maven project, built in a folder, with what Maven has or can get. Raises CannotStart."""
    if not (shutil.which("java") and shutil.which("mvn")):
        raise CannotStart("Java 17 and Maven are not installed")
    copied = shutil.copytree(project, folder / "project")
    try:
        subprocess.run(  # noqa: S603
            ["mvn", "-q", "-B", "-f", str(copied), "package"],  # noqa: S607 - Maven as the user has it
            check=True,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CannotStart(f"Maven did not end within {_BUILD_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as error:
        raise CannotStart(f"Maven failed: {_last_line(error.stdout)}") from None
    return next((copied / "target").glob("*.jar"))


def free_port() -> int:
    with socket.create_server((_HOST, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _on(processor: int | None) -> Iterator[None]:
    """What is started meanwhile runs on that processor alone, with all its threads."""
    if processor is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_until_it_answers(
    name: str, process: "subprocess.Popen[bytes]", port: int, path: str, headers: Mapping[str, str], said: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port, path, headers):
        if process.poll() is not None:
            last = _last_line(said.read_text(errors="replace"))
            raise CannotStart(f"{name} ended with exit code {process.returncode}: {last}")
        if time.monotonic() > deadline:
            last = _last_line(said.read_text(errors="replace"))
            raise CannotStart(f"{name} did not answer within {_START_SECONDS:.0f} s; it said last: {last}")
        time.sleep(0.005)


def _answers(port: int, path: str, headers: Mapping[str, str]) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]

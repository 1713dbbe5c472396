"""Servers in processes of their own: how long they take to answer, and what memory and processor they use (Linux)."""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .files import APPLICATION, PATH, ConfigFiles

OURS, SPRING = "config-server", "Spring Cloud Config 5.0.1"
_HOST = "127.0.0.1"
_PASSWORD = "measured"  # noqa: S105 - of a server that lives for a minute on this machine alone
_START_SECONDS, _STOP_SECONDS, _BUILD_SECONDS = 30.0, 20.0, 600.0
_SPRING_PROJECT = Path(__file__).parent / "spring"


class CannotStart(Exception):
    """Why, in one sentence."""


@dataclass(frozen=True)
class Server:
    """A server that has answered. Spring's is asked without a credential: it knows none unless more is added."""

    port: int
    pid: int
    start_seconds: float
    headers: Mapping[str, str]

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
def running(name: str, files: ConfigFiles, spring: Path | None) -> Iterator[Server]:
    """A fresh server that reads the files' repository; it is stopped in the end. Raises CannotStart."""
    with tempfile.TemporaryDirectory(prefix="bench-config-") as folder:
        port = _free_port()
        if name == OURS:
            command = [sys.executable, "-m", "config_server"]
            headers = {"Authorization": f"Basic {base64.b64encode(f'{APPLICATION}:{_PASSWORD}'.encode()).decode()}"}
        else:
            command = ["java", "-jar", str(spring), *_spring_arguments(files, Path(folder), port)]
            headers = {}
        said = Path(folder, "said")
        with said.open("wb") as output:
            begun = time.monotonic()
            process = subprocess.Popen(  # noqa: S603 - one of the two commands above
                command, env=_environment(files, port), cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_it_answers(name, process, port, headers, said)
            yield Server(port, process.pid, time.monotonic() - begun, headers)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def built_spring_server(folder: Path) -> Path:
    """The jar of Spring's server, with what Maven has or can get. Raises CannotStart."""
    if not (shutil.which("java") and shutil.which("mvn")):
        raise CannotStart("Java 17 and Maven are not installed")
    project = shutil.copytree(_SPRING_PROJECT, folder / "project")
    try:
        subprocess.run(  # noqa: S603
            ["mvn", "-q", "-B", "-f", str(project), "package"],  # noqa: S607 - Maven as the user has it
            check=True,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CannotStart(f"Maven did not end within {_BUILD_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as error:
        raise CannotStart(f"Maven failed: {_last_line(error.stdout)}") from None
    return next((project / "target").glob("*.jar"))


def _environment(files: ConfigFiles, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONFIG_")}
    return inherited | {
        "HOST": _HOST,
        "PORT": str(port),
        "CONFIG_SERVER_GIT_URI": str(files.repository),
        "CONFIG_SERVER_CREDENTIALS": json.dumps({APPLICATION: _PASSWORD}),
    }


def _spring_arguments(files: ConfigFiles, folder: Path, port: int) -> list[str]:
    properties = {
        "server.address": _HOST,
        "server.port": str(port),
        "spring.cloud.config.server.git.uri": str(files.repository),
        "spring.cloud.config.server.git.basedir": str(folder / "basedir"),
        "spring.cloud.config.server.git.default-label": "main",
    }
    return [f"--{name}={value}" for name, value in properties.items()]


def _wait_until_it_answers(
    name: str, process: "subprocess.Popen[bytes]", port: int, headers: Mapping[str, str], said: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port, headers):
        if process.poll() is not None:
            last = _last_line(said.read_text(errors="replace"))
            raise CannotStart(f"{name} ended with exit code {process.returncode}: {last}")
        if time.monotonic() > deadline:
            last = _last_line(said.read_text(errors="replace"))
            raise CannotStart(f"{name} did not answer within {_START_SECONDS:.0f} s; it said last: {last}")
        time.sleep(0.005)


def _answers(port: int, headers: Mapping[str, str]) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=10)
    try:
        connection.request("GET", PATH, headers=dict(headers))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as probe:
        return int(probe.getsockname()[1])

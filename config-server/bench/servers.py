"""Which servers are measured, and how they are told what to serve."""

import base64
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chassis.testing.bench import processes
from chassis.testing.bench.processes import Server, built_jar, free_port

from .files import APPLICATION, PATH, ConfigFiles

OURS, SPRING = "config-server", "Spring Cloud Config 5.0.1"
_HOST = "127.0.0.1"
_PASSWORD = "measured"  # noqa: S105 - of a server that lives for a minute on this machine alone
_SPRING_PROJECT = Path(__file__).parent / "spring"


@contextmanager
def running(name: str, files: ConfigFiles, spring: Path | None) -> Iterator[Server]:
    """A fresh server that reads the files' repository; it is stopped in the end. Raises CannotStart."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-config-") as folder:
        command = [sys.executable, "-m", "config_server"]
        if name != OURS:
            command = ["java", "-jar", str(spring), *_spring_arguments(files, Path(folder), port)]
        with processes.running(
            name, command, port=port, path=PATH, headers=headers_of(name), environment=_environment(files, port)
        ) as server:
            yield server


def headers_of(name: str) -> Mapping[str, str]:
    """Spring's is asked without a credential: it knows none unless more is added."""
    if name != OURS:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{APPLICATION}:{_PASSWORD}'.encode()).decode()}"}


def built_spring_server(folder: Path) -> Path:
    """The jar of Spring's server. Raises CannotStart."""
    return built_jar(_SPRING_PROJECT, folder)


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

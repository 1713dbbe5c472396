"""Which servers are measured, and how they are told how to serve."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chassis.testing.bench import processes
from chassis.testing.bench.processes import Server, built_jar, free_port

from .fleet import NAMES, PASSWORDS, credential

OURS, EUREKA = "discovery-server", "Spring Cloud Eureka 5.0.1"
RETENTION_SECONDS = 60.0  # of changes in deltas, of both: registering everybody must be forgotten before they are read
FORGETTING_SECONDS = 31.0  # Eureka looks for what to forget every 30 s
_HOST = "127.0.0.1"
_EUREKA_PROJECT = Path(__file__).parent / "spring"

# One processor for the server and one for its clients, so that they don't take turns; where there are two.
_PROCESSORS = sorted(os.sched_getaffinity(0))
SERVERS_PROCESSOR, CLIENTS_PROCESSOR = (_PROCESSORS[-1], _PROCESSORS[0]) if len(_PROCESSORS) > 1 else (None, None)


@contextmanager
def running(name: str, eureka: Path | None) -> Iterator[Server]:
    """A fresh server; it is stopped in the end. Raises CannotStart."""
    port = free_port()
    command = [sys.executable, "-m", "discovery_server"]
    if name != OURS:
        command = ["java", "-jar", str(eureka), *_eureka_arguments(port)]
    with processes.running(
        name,
        command,
        port=port,
        path="/eureka/apps/",
        headers=headers_of(name, NAMES[0]),
        environment=_environment(port),
        processor=SERVERS_PROCESSOR,
    ) as server:
        yield server


def headers_of(name: str, app: str) -> Mapping[str, str]:
    """What an application sends with its requests: to Spring's server nothing, it asks for no credential."""
    return credential(app) if name == OURS else {}


def built_eureka(folder: Path) -> Path:
    """The jar of Spring's server. Raises CannotStart."""
    return built_jar(_EUREKA_PROJECT, folder)


def _environment(port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DISCOVERY_", "CONFIG_"))}
    return inherited | {
        "HOST": _HOST,
        "PORT": str(port),
        "DISCOVERY_SERVER_CREDENTIALS": json.dumps(PASSWORDS),
        "DISCOVERY_SERVER_DELTA_RETENTION_SECONDS": str(RETENTION_SECONDS),
    }


def _eureka_arguments(port: int) -> list[str]:
    """As it comes, but for connections that live as long as ours do, a delta that forgets sooner, and without
    self-preservation: nobody would ever leave.
    """
    properties = {
        "server.address": _HOST,
        "server.port": str(port),
        "server.tomcat.max-keep-alive-requests": "-1",
        "eureka.client.register-with-eureka": "false",
        "eureka.client.fetch-registry": "false",
        "eureka.server.enable-self-preservation": "false",
        "eureka.server.retentionTimeInMSInDeltaQueue": str(round(RETENTION_SECONDS * 1000)),
    }
    return [f"--{name}={value}" for name, value in properties.items()]

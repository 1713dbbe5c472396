"""A broker for tests as a process of its own, so that no event loop of a test slows it or dies with it: two kinds."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from chassis.launcher import launch_command
from chassis.local_kafka import LocalKafka

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0

_KAFKA_SETTINGS = {"group.min.session.timeout.ms": "500"}
"""So that a test can see a member time out."""


class BrokerProcess(Protocol):
    """What both kinds can do."""

    @property
    def bootstrap(self) -> str:
        """`host:port`, once it is ready; the same after each start."""

    def start(self) -> None:
        """Start it, on the same port and data as before, and return once it takes connections."""

    def begin(self) -> object:
        """Start it without waiting."""

    def wait_until_ready(self) -> None:
        """After `begin`. Raises OSError with what it said if it ends instead, or takes too long."""

    def stop(self) -> None:
        """End it and wait for that: it closes its files. Its data stays."""

    def kill(self) -> None:
        """End it as a crash does."""


def broker_in(folder: Path) -> BrokerProcess:
    """The kind that BROKER names, as `fleet up` has it. Raises OSError for one that there is not."""
    match os.environ.get("BROKER") or "embedded":
        case "embedded":
            return EmbeddedBroker(folder)
        case "kafka":
            return LocalKafka(folder, settings=_KAFKA_SETTINGS, die_with_parent=True)
        case unknown:
            raise OSError(f"BROKER={unknown} is no broker: it can be embedded or kafka.")


class EmbeddedBroker:
    """The embedded broker."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._output = folder / "output.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "KAFKA_DATA": str(self._data), "HOST": "127.0.0.1", "PORT": str(self._port)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own broker
                launch_command([sys.executable, "-m", "embedded_kafka"]),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (ready := re.search(r"^ready bootstrap=[^:\s]+:(\d+) ", self._said(), re.MULTILINE)):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"the embedded broker is not ready: {self._said().strip() or 'it said nothing'}")
            time.sleep(0.005)
        self._port = int(ready[1])

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._process = None

    def _said(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

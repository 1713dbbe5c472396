"""A real Apache Kafka of our own on the loopback interface, one node without Docker, for laptops and tests.

As a command it runs until SIGTERM or Ctrl-C; or as long as another command, which finds it by an environment variable:

    python -m chassis.local_kafka --data DIR --port 9092
    python -m chassis.local_kafka --set group.min.session.timeout.ms=500 --address-in BOOTSTRAP -- pytest tests
"""

import argparse
import base64
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .kafka_programs import LOG_SETTINGS, find_jars, find_java, kafka_version
from .launcher import launch_command
from .postgres_programs import last_lines

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0

_SERVER_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",  # services make their topics, a misspelt name makes none
    "group.initial.rebalance.delay.ms": "0",
    # One node, with as many partitions for its own books as one needs.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # A controller takes a broker for another one's double until the session of its killed self has ended.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),  # Kafka's 128 MiB are taken at the start
}


_ERROR = re.compile(r" (ERROR|FATAL) |^(Caused by: )?[\w.]+(Exception|Error)\b")
"""Such a line says why, those around it say where in the code."""


class LocalKafka:
    """One node that keeps everything in `folder`, made on the first start: topics and offsets are there at the next.

    Args:
        folder: what the broker keeps, its settings and, unless `log_file` is given, what it says (`kafka.log`).
        port: 0 takes a free one, anew in each process; `port` says which.
        settings: of the broker, over those that a single node needs.
        log_file: what the broker says.
        heap: the most that Java takes for its objects, as in `-Xmx`.
        die_with_parent: the broker is killed when the thread that called `start` ends (Linux).
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        settings: Mapping[str, str] | None = None,
        log_file: Path | None = None,
        heap: str = "512m",
        die_with_parent: bool = False,
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.log_file = log_file or self.folder / "kafka.log"
        self._settings = dict(settings or {})
        self._heap = heap
        self._die_with_parent = die_with_parent
        self._kept = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._told_before = 0  # where in the log the last start began

    @property
    def bootstrap(self) -> str:
        """`host:port`, known once it is begun; the same after each start."""
        return f"{_HOST}:{self.port}"

    def start(self) -> None:
        """Return once it serves. Raises OSError with the reason in a sentence."""
        self.begin()
        self.wait_until_ready()

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it without waiting, except for its files to be made on the first start. Raises OSError as `start`."""
        with self._lock() as lock:
            self.port = self.port or _free_port()
            _check_is_free(self.port)
            self._make_files()
            with self.log_file.open("ab") as log:
                self._told_before = log.tell()
                self._process = subprocess.Popen(  # noqa: S603 - Kafka, by the Java that was found
                    self._command("kafka.Kafka", str(self._write_settings(self._kept)), options=[f"-Xmx{self._heap}"]),
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock.fileno()],  # held by the broker from now on, however it ends
                    start_new_session=True,  # a Ctrl-C in the terminal is not for it
                )
            lock.write(str(self._process.pid))
        return self._process

    def make_files(self) -> None:
        """Make what it keeps where there is nothing yet; `begin` does it too. Raises OSError as `start`."""
        with self._lock():
            self._make_files()

    def is_ready(self) -> bool:
        """Whether it serves: it says so as the last thing of its start."""
        return " Kafka Server started " in self._told_since_start()

    def wait_until_ready(self) -> None:
        """After `begin`. Raises OSError with what it complained of in one sentence."""
        deadline = time.monotonic() + _START_SECONDS
        assert self._process is not None
        while not self.is_ready():
            if self._process.poll() is not None:
                raise OSError(f"Apache Kafka does not start: {self.complaints()}")
            if time.monotonic() > deadline:
                self.kill()
                raise OSError(f"Apache Kafka was not ready within {_START_SECONDS:.0f} s: {self.complaints()}")
            time.sleep(0.02)

    def complaints(self) -> str:
        """The last errors in its log since it was started, else the last lines, as one line."""
        told = self._told_since_start()
        errors = [line for line in told.splitlines() if _ERROR.search(line)]
        return last_lines("\n".join(errors) or told)

    def stop(self) -> None:
        """End it and wait for that: it closes its files, unless that takes too long. Its data stays."""
        self._end(signal.SIGTERM, _STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL, 5.0)

    def _end(self, how: signal.Signals, patience_seconds: float) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @contextmanager
    def _lock(self) -> Iterator[TextIO]:
        """Nobody else starts a broker here in the meantime. Raises OSError if one runs.

        flock(2): the lock is held as long as any process has this opening of the file, here the broker, which gets it
        as a file descriptor; the file has the broker's process id.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise OSError(f"Apache Kafka runs in {self.folder} already (pid {lock.read()}).") from None
            lock.truncate(0)
            yield lock

    def _make_files(self) -> None:
        if self._kept.is_dir():
            return
        # Beside its place first, so that what it keeps is there whole or not at all.
        unfinished = self.folder / "log.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        made = subprocess.run(  # noqa: S603 - Kafka's own program, by the Java that was found
            self._command(
                "kafka.tools.StorageTool",
                *("format", "--config", str(self._write_settings(unfinished)), "--cluster-id", cluster),
                options=["-XX:TieredStopAtLevel=1"],  # it runs for a moment only
            ),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise OSError(f"Apache Kafka can't make its files in {self.folder}: {last_lines(made.stderr)}")
        unfinished.rename(self._kept)

    def _write_settings(self, kept: Path) -> Path:
        if "," in str(kept):
            raise OSError(f"Apache Kafka can't keep anything in {self.folder}: it would take it for two folders.")
        # Its controller listens as well, for the broker in the same process alone: where does not matter.
        controller_port = _free_port()
        settings = {
            **_SERVER_SETTINGS,
            "listeners": f"PLAINTEXT://{_HOST}:{self.port},CONTROLLER://{_HOST}:{controller_port}",
            "controller.quorum.voters": f"1@{_HOST}:{controller_port}",
            "log.dirs": str(kept),
            **self._settings,
        }
        file = self.folder / "server.properties"
        # java.util.Properties: a file is Latin-1, with any other character written as in JSON.
        file.write_text("".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in settings.items()))
        return file

    def _command(self, main_class: str, *arguments: str, options: list[str]) -> list[str]:
        command = [find_java(), f"-Dlog4j2.configurationFile={LOG_SETTINGS}", *options, "-cp", f"{find_jars()}/*"]
        how = signal.SIGKILL if self._die_with_parent else None
        return launch_command([*command, main_class, *arguments], die_with_parent=how)

    def _told_since_start(self) -> str:
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(self._told_before)
            return log.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}  # or Java could not open files by names beyond ASCII


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _check_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does, or a port just left would count
        try:
            probe.bind((_HOST, port))
            probe.listen()
        except OSError as error:
            raise OSError(f"Apache Kafka can't listen on port {port}: {error.strerror}.") from None


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _folder(options.data) as folder:
            broker = LocalKafka(folder, options.port, settings=dict(options.set), die_with_parent=True)
            try:
                return _serve(broker, options)
            finally:
                broker.stop()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT if options.command else 0  # a broker that was stopped has done what it was to do
    except OSError as problem:
        sys.stderr.write(f"local_kafka: {problem}\n")
        return 1


def _serve(broker: LocalKafka, options: argparse.Namespace) -> int:
    began = time.monotonic()
    process = broker.begin()
    broker.wait_until_ready()
    if options.command:
        return _run(options.command, {options.address_in: broker.bootstrap})
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"ready bootstrap={broker.bootstrap} pid={process.pid} version={kafka_version()} seconds={seconds:.1f}\n"
    )
    sys.stdout.flush()
    process.wait()
    raise OSError(f"Apache Kafka has ended by itself: {broker.complaints()}")


def _run(command: list[str], variables: Mapping[str, str]) -> int:
    """The exit code of the command, as a shell has it."""
    with subprocess.Popen(command, env={**os.environ, **variables}) as running:  # noqa: S603 - what we were asked for
        signal.signal(signal.SIGINT, lambda *_: None)  # the terminal tells the command, too, which ends in its own way
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        exit_code = running.wait()
    return exit_code if exit_code >= 0 else 128 - exit_code


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
    else:
        with tempfile.TemporaryDirectory(prefix="local-kafka-") as folder:
            yield Path(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chassis.local_kafka", description="Run a real Apache Kafka.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="what it keeps; without, nothing is kept")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="0, the default, takes a free one")
    parser.add_argument("--set", type=_pair, action="append", default=[], metavar="KEY=VALUE", help="a broker setting")
    parser.add_argument("--address-in", metavar="NAME", help="the variable that tells the command host:port")
    parser.add_argument("command", nargs="*", help="after --; without, the broker runs until it is stopped")
    options = parser.parse_args()
    if bool(options.command) != bool(options.address_in):
        parser.error("--address-in and a command go together")
    return options


def _port(given: str) -> int:
    if not (given.isascii() and given.isdigit() and int(given) < 65536):
        raise argparse.ArgumentTypeError(f"{given!r} is no port")
    return int(given)


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{given!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())

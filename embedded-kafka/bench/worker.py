"""A client in a process of its own, so that no interpreter lock stands between producers and readers."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

_READY = "ready"
_LONGEST_SECONDS = 180.0
_context = multiprocessing.get_context("spawn")  # a fork would inherit librdkafka's threads half

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Gate:
    """Held by the worker: it tells that it is ready, and may wait to be told to begin."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        self._pipe.send(_READY)

    def wait(self) -> None:
        self._pipe.recv()


class WorkerFailed(Exception):
    """What a client could not do."""


class Worker(Generic[Result]):
    def __init__(self, process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
        self._process, self._pipe = process, pipe

    def until_ready(self) -> None:
        if (told := self._told()) != _READY:
            raise WorkerFailed(f"{self._process.name} did not get ready: {told!r}")

    def begin(self) -> None:
        self._pipe.send(None)

    def result(self) -> Result:
        result: Result = self._told()
        return result

    def _told(self) -> Any:
        """Raises WorkerFailed."""
        if not self._pipe.poll(_LONGEST_SECONDS):
            raise WorkerFailed(f"{self._process.name} has said nothing for {_LONGEST_SECONDS:.0f} s")
        try:
            told = self._pipe.recv()
        except EOFError:
            raise WorkerFailed(f"{self._process.name} ended by itself") from None
        if isinstance(told, BaseException):
            raise WorkerFailed(f"{self._process.name} failed: {told!r}")
        return told


@contextmanager
def started(
    function: Callable[Concatenate[Gate, Arguments], Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Iterator[Worker[Result]]:
    """The function runs in another process, which is gone at the end in every case."""
    ours, theirs = _context.Pipe()
    name = getattr(function, "__name__", "worker")
    process = _context.Process(target=_work, args=(theirs, function, arguments, named), name=name, daemon=True)
    process.start()
    theirs.close()
    try:
        yield Worker(process, ours)
    finally:
        process.terminate()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()


def _work(pipe: Connection, function: Callable[..., object], arguments: Any, named: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started this one ends it
    try:
        pipe.send(function(Gate(pipe), *arguments, **named))
    except Exception as error:
        pipe.send(WorkerFailed(repr(error)))  # as text: not every client's error can be pickled

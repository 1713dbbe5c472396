"""The audit log on disk: lines of JSON, written by a thread of their own into files that are rotated by size."""

import logging
import queue
import sys
import threading
import time
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from discovery_server.metrics import AUDIT_FAILURES

logger = logging.getLogger(__name__)

_LARGEST_BYTES = 10_000_000
_KEPT_FILES = 5
_MOST_WAITING = 10_000
_SILENCE_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0


class AuditFile:
    """Takes lines at once and writes them soon. One that can't be written is counted, and told in the log."""

    def __init__(self, path: Path, *, largest_bytes: int = _LARGEST_BYTES, most_waiting: int = _MOST_WAITING) -> None:
        self._handler = _Handler(path, maxBytes=largest_bytes, backupCount=_KEPT_FILES, encoding="utf-8", delay=True)
        self._waiting: queue.Queue[str | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._run, name="audit-file", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, line: str) -> None:
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._handler.failed(f"{self._waiting.maxsize} lines wait for the disk already")

    def stop(self) -> None:
        """Returns when everything is written, or can't be."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_PATIENCE_SECONDS)
            self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            lost = self._waiting.qsize()
            self._handler.failed(f"the disk did not take {lost} lines at the end", lost)
        else:
            self._handler.close()

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            self._handler.handle(logging.makeLogRecord({"msg": line}))


class _Handler(RotatingFileHandler):
    """The standard library's, whose failures count here, where it would print them and go on."""

    _said_at = float("-inf")

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        self.failed(str(sys.exc_info()[1]))

    def failed(self, why: str, lines: int = 1) -> None:
        AUDIT_FAILURES.inc(lines)
        now = time.monotonic()
        if now - self._said_at >= _SILENCE_SECONDS:
            self._said_at = now
            logger.error("a line of the audit log is not in %s: %s", self.baseFilename, why)

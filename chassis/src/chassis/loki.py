"""Ships log lines to Loki: python-logging-loki's labels and payloads, in batches, behind a bounded queue."""

import atexit
import logging
import queue
import sys
import threading
import time
from typing import Any

from logging_loki.emitter import LokiEmitterV1

_BATCH = 500
_LINGER_SECONDS = 0.5
_TIMEOUT_SECONDS = 3.0
_QUEUE = 10_000


class LokiShipper(logging.Handler):
    """Never blocks or raises in the caller's thread: past 10,000 waiting lines, new ones are dropped and counted.

    python-logging-loki itself posts each record synchronously and without a timeout, stamped with the time of sending;
    its label and payload code is used here, its emitter's posting is not.
    """

    def __init__(self, url: str, labels: dict[str, str]) -> None:
        super().__init__()
        self._emitter = LokiEmitterV1(f"{url.rstrip('/')}/loki/api/v1/push", labels)
        self._waiting: queue.Queue[tuple[logging.LogRecord, str] | None] = queue.Queue(_QUEUE)
        self.dropped = 0
        logging.getLogger("urllib3").setLevel(logging.WARNING)  # it logs each push, which would be pushed again
        self._thread = threading.Thread(target=self._ship, name="loki", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait((record, self.format(record)))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Send what waits, for at most a few seconds."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(_TIMEOUT_SECONDS + 1)
        super().close()

    def _ship(self) -> None:
        running = True
        while running:
            first = self._waiting.get()
            if first is None:
                return
            batch = [first]
            until = time.monotonic() + _LINGER_SECONDS
            while len(batch) < _BATCH and (left := until - time.monotonic()) > 0:
                try:
                    item = self._waiting.get(timeout=left)
                except queue.Empty:
                    break
                if item is None:
                    running = False
                    break
                batch.append(item)
            self._post(batch)

    def _post(self, batch: list[tuple[logging.LogRecord, str]]) -> None:
        streams: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
        for record, line in batch:
            tags = {name: str(value) for name, value in self._emitter.build_tags(record).items()}
            streams.setdefault(tuple(sorted(tags.items())), []).append([str(int(record.created * 1e9)), line])
        payload: dict[str, Any] = {
            "streams": [{"stream": dict(tags), "values": values} for tags, values in streams.items()]
        }
        try:
            answer = self._emitter.session.post(self._emitter.url, json=payload, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
        except Exception as error:  # whatever goes wrong with shipping must not reach the service
            self.dropped += len(batch)
            sys.stderr.write(f"loki: {len(batch)} lines dropped: {type(error).__name__}\n")


def loki_handler(url: str, labels: dict[str, str]) -> logging.Handler:
    """A handler that ships to the Loki at `url` with these labels on every line."""
    return LokiShipper(url, labels)

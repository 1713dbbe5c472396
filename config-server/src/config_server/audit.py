"""Writes down who read which secrets: one line in the log, which has keys in it and never a value."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from prometheus_client import Counter

from .credentials import Reader
from .queries import Query

SECRET_READS = Counter("config_server_secret_reads", "Answers with decrypted values in them")

# Whatever the level of the other logs is, these lines are written.
logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

_SILENCE_SECONDS = 3600.0
_MOST_REMEMBERED = 10_000


class Audit:
    """Says that a reader got secrets: at once when it is the first time at this commit, then each hour at most.

    The later lines count the reads since the line before, so that a client that asks every second is one line an
    hour. How many reads there were in all is in the metrics.
    """

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now_seconds = now_seconds
        self._said: OrderedDict[tuple[Reader, Query, tuple[str, ...]], tuple[float | None, int]] = OrderedDict()
        self._lock = threading.Lock()

    def note_read(self, reader: Reader, query: Query, commits: tuple[str, ...], secrets: Sequence[str]) -> None:
        """An answer with these secrets, which may be none, goes out."""
        if not secrets:
            return
        SECRET_READS.inc()
        key = (reader, query, commits)
        now = self._now_seconds()
        with self._lock:
            said_at, unsaid = self._said.get(key, (None, 0))
            reads = unsaid + 1
            is_due = said_at is None or now - said_at >= _SILENCE_SECONDS
            self._said[key] = (now, 0) if is_due else (said_at, reads)
            self._said.move_to_end(key)
            if len(self._said) > _MOST_REMEMBERED:
                self._said.popitem(last=False)
        if is_due:
            logger.info(
                "secrets were read",
                extra={
                    "reader": reader.name,
                    "application": query.application,
                    "profile": query.profile,
                    "label": query.label,
                    "commit": ",".join(commits),
                    "keys": list(secrets),
                    "reads": reads,
                },
            )

    def note_decryption(self, reader: Reader, application: str, profile: str) -> None:
        """A single value was decrypted; each time is a line, since it is a person who does that."""
        SECRET_READS.inc()
        logger.info(
            "a value was decrypted",
            extra={"reader": reader.name, "application": application, "profile": profile},
        )

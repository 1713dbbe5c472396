"""Keeps a clone up to date in the background: at an interval and when it is told to, one fetch at a time."""

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge

from .clones import Clone
from .errors import FetchFailed

logger = logging.getLogger(__name__)

FAILURES = Counter("config_server_fetch_failures", "Fetches from a remote repository that failed", ["repository"])
AGE = Gauge("config_server_fetch_age_seconds", "Time since a remote repository was fetched last", ["repository"])
STALE = Gauge("config_server_fetch_stale", "1 while the last fetch is longer ago than is allowed", ["repository"])

_FIRST_PAUSE_SECONDS = 0.5
_SUSPICION_SECONDS = 10.0


class Fetcher:
    """Fetches a clone from `start` to `stop`. A failure is told, and tried again: soon at first, then at the interval.

    `name` is what the metrics call the repository. A thread of its own does the work, which does not hold up the end
    of the process: a fetch may hang for long, and can be cut off at any moment.
    """

    def __init__(self, name: str, clone: Clone, *, interval_seconds: float, stale_after_seconds: float) -> None:
        self._clone = clone
        self._interval_seconds = interval_seconds
        self._stale_after_seconds = stale_after_seconds
        self._failure: str | None = None
        self._failures = 0
        self._fetched_at = clone.fetched_at()
        self._made_at = time.time()
        self._state = threading.Condition()  # guards what follows
        self._runs = self._is_asked = False
        self._begun = self._ended = 0
        self._suspected_at = time.monotonic() - 2 * _SUSPICION_SECONDS
        self._count_failure = FAILURES.labels(name).inc
        AGE.labels(name).set_function(self.age_seconds)
        STALE.labels(name).set_function(lambda: float(self.stale_reason() is not None))

    def start(self) -> None:
        """Fetch now, and then again and again."""
        self._runs = True
        threading.Thread(target=self._run, name="fetch", daemon=True).start()

    def stop(self) -> None:
        """Begin no more fetches, and let go whoever waits for one."""
        with self._state:
            self._runs = False
            self._state.notify_all()

    async def refresh(self) -> None:
        """Fetch, and return when it is done. What was pushed before the call can be read afterwards.

        A fetch that runs already may have looked too early, so the next one is waited for, which all share that call
        meanwhile. Raises FetchFailed.
        """
        await asyncio.to_thread(self._wait_for_next)

    def age_seconds(self) -> float:
        """Since the last success, or since the start where there was none yet."""
        return max(0.0, time.time() - (self._fetched_at or self._made_at))

    def stale_reason(self) -> str | None:
        """Why what is served may be out of date, once the last success is longer ago than is allowed."""
        age = self.age_seconds()
        if age <= self._stale_after_seconds:
            return None
        return f"The repository was fetched {age:.0f} s ago. {self._failure or 'A fetch is under way.'}"

    def details(self) -> dict[str, Any]:
        """The state for /actuator/health."""
        return {
            "uri": self._clone.uri,
            "cloned": self._clone.path is not None,
            "stale": self._failure is not None or self.stale_reason() is not None,
            "ageSeconds": round(self.age_seconds(), 1),
            **({"reason": self._failure} if self._failure else {}),
        }

    @property
    def path(self) -> Path | None:
        """Where the clone is now, if it is there."""
        return self._clone.path

    def suspect(self) -> None:
        """Who reads it has met a fault: have it looked at, and made anew if it is damaged."""
        self._clone.suspect()
        with self._state:
            if time.monotonic() - self._suspected_at > _SUSPICION_SECONDS:  # not for each request that meets it
                self._suspected_at = time.monotonic()
                self._is_asked = True
                self._state.notify_all()

    def missing_reason(self) -> str:
        """Why there is no clone yet."""
        return f"{self._clone.uri} has not been cloned yet. {self._failure or 'It is being fetched.'}"

    def _wait_for_next(self) -> None:
        with self._state:
            wanted = self._begun + 1
            self._is_asked = True
            self._state.notify_all()
            self._state.wait_for(lambda: self._ended >= wanted or not self._runs)
            if self._ended < wanted:
                raise FetchFailed(f"{self._clone.uri} is not fetched any more: the server is stopping.")
            if self._failure is not None:
                raise FetchFailed(self._failure)

    def _run(self) -> None:
        while True:
            with self._state:
                self._begun += 1
                self._is_asked = False
            self._fetch()
            with self._state:
                self._ended = self._begun
                self._state.notify_all()
                self._state.wait_for(lambda: self._is_asked or not self._runs, self._pause_seconds())
                if not self._runs:
                    return

    def _pause_seconds(self) -> float:
        if not self._failures:
            return self._interval_seconds
        return min(self._interval_seconds, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 20))

    def _fetch(self) -> None:
        try:
            moved = self._clone.update()
        except FetchFailed as error:
            if error.detail != self._failure:
                logger.error("nothing new is served: %s", error.detail)
            self._note_failure(error.detail)
        except Exception as error:  # it must go on, whatever comes up
            logger.exception("fetching %s failed here", self._clone.uri)
            self._note_failure(f"{self._clone.uri} can't be fetched: {type(error).__name__}.")
        else:
            if self._failure is not None:
                logger.info("%s is fetched again", self._clone.uri)
            self._failure, self._failures = None, 0
            self._fetched_at = time.time()
            if moved:
                logger.info("fetched %s: %s", self._clone.uri, ", ".join(moved[:20]))

    def _note_failure(self, reason: str) -> None:
        self._failure = reason
        self._failures += 1
        self._count_failure()

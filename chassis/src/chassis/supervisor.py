"""Background tasks that are watched: one that dies is started again, and the liveness probe hears of it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Counter, Gauge

logger = logging.getLogger(__name__)

TASK_UP = Gauge("task_up", "1 while a background task runs, 0 while it waits to be started again", ["task"])
TASK_RESTARTS = Counter("task_restarts", "How often a background task died and was started again", ["task"])

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 4.0


class Supervisor:
    """Runs named tasks until it is stopped. A task that returns by itself is done; one that raises is restarted.

    Promise K11: a task that can't stay up makes `failing()` name it within 10 s.
    """

    def __init__(self, *, patience_seconds: float = 5.0) -> None:
        self._patience_seconds = patience_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._down_since: dict[str, float] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run()` under this name, from now until `stop`."""
        if name in self._tasks:
            raise ValueError(f"a task named {name} runs already")
        self._tasks[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    async def stop(self, *names: str) -> None:
        """Cancel the named tasks (all of them without names), the newest first, and wait until they have ended."""
        for name in names or [*reversed(self._tasks)]:
            if (task := self._tasks.pop(name, None)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self._down_since.pop(name, None)

    def failing(self) -> list[str]:
        """The tasks that have been down for longer than the patience, or keep dying without a steady stretch."""
        now = time.monotonic()
        return [name for name, since in self._down_since.items() if now - since > self._patience_seconds]

    async def check(self) -> str | None:
        """A health check: what can't stay up, or None."""
        failing = self.failing()
        return f"not running: {', '.join(failing)}" if failing else None

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            TASK_UP.labels(name).set(1)
            # A task that dies at once again and again counts as down all the while, until it has been steady.
            steady = asyncio.get_running_loop().call_later(_STEADY_SECONDS, self._down_since.pop, name, None)
            try:
                await run()
                self._down_since.pop(name, None)
                return
            except Exception:
                logger.exception("the task %s died; it is started again in %.1f s", name, pause)
            finally:
                steady.cancel()
                TASK_UP.labels(name).set(0)
            if time.monotonic() - started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._down_since.setdefault(name, time.monotonic())
            TASK_RESTARTS.labels(name).inc()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

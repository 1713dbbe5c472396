"""Notices that a client has gone away while its upstream is slow, so that nobody works for nobody."""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

_LOOK_EVERY_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class Visit:
    """One request that is being served. `is_gone`: its client has left, and its task was cancelled for that."""

    task: "asyncio.Task[object]"
    receive: Receive
    is_read: bool = True  # the request's body: until then, `receive` is the upload's to call
    is_slow: bool = False
    is_gone: bool = False
    watcher: "asyncio.Task[None] | None" = None


class Visits:
    """The requests being served now. Only those that outlast a look or two get a watcher: a task costs too much."""

    def __init__(self) -> None:
        self._present: set[Visit] = set()

    def enter(self, receive: Receive) -> Visit:
        task = asyncio.current_task()
        assert task is not None
        visit = Visit(task, receive)
        self._present.add(visit)
        return visit

    def leave(self, visit: Visit) -> None:
        self._present.discard(visit)
        if visit.watcher is not None:
            visit.watcher.cancel()

    def __len__(self) -> int:
        return len(self._present)

    async def run(self) -> None:
        """Look after the visits for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            for visit in self._present:
                if visit.is_slow and visit.is_read and visit.watcher is None:
                    visit.watcher = asyncio.create_task(self._watch(visit))
                visit.is_slow = True

    async def _watch(self, visit: Visit) -> None:
        while (await visit.receive())["type"] != "http.disconnect":
            pass
        if visit in self._present:
            visit.is_gone = True
            visit.task.cancel()

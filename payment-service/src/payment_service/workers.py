"""Work that calls another system: claimed in a transaction, done outside of any, its answers recorded in another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis.database import is_outage

logger = logging.getLogger(__name__)

WorkT = TypeVar("WorkT")
AnswerT = TypeVar("AnswerT")

_STOP_SECONDS = 2.0


class Worker(Generic[WorkT, AnswerT]):
    """Claims what is due, up to `at_once()` under way, as soon as `due` is set and every `poll_seconds()`.

    What was answered since the last look is recorded together: the busier it is, the fewer transactions a call takes.
    Work that fails is not lost: what was claimed and not recorded becomes due again when its lease ends. Several
    instances share what is due.
    """

    def __init__(
        self,
        *,
        claim: Callable[[int], Awaitable[Sequence[WorkT]]],
        work: Callable[[WorkT], Awaitable[AnswerT]],
        record: Callable[[Sequence[AnswerT]], Awaitable[None]],
        due: asyncio.Event,
        at_once: Callable[[], int],
        poll_seconds: Callable[[], float],
    ) -> None:
        self._claim = claim
        self._work = work
        self._record = record
        self._look_again = due
        self._at_once = at_once
        self._poll_seconds = poll_seconds
        self._under_way: set[asyncio.Task[None]] = set()
        self._answers: list[AnswerT] = []

    async def run(self) -> None:
        """Work until cancelled; to be run as a supervised task."""
        try:
            while True:
                self._look_again.clear()
                await self._record_answers()
                if not await self._start_what_is_due():
                    await self._wait()
        finally:
            await self._finish()

    async def _record_answers(self) -> None:
        answers, self._answers = self._answers, []
        if answers:
            await self._record_all(answers)

    async def _record_all(self, answers: Sequence[AnswerT]) -> None:
        try:
            await self._record(answers)
        except Exception as error:
            if is_outage(error) or len(answers) == 1:
                logger.exception("%d answers were not recorded; they are got again when their lease ends", len(answers))
                return
            logger.warning("%d answers were not recorded together, trying each by itself: %r", len(answers), error)
            for answer in answers:
                await self._record_all([answer])

    async def _start_what_is_due(self) -> bool:
        """Whether there may be more that could be started."""
        free = self._at_once() - len(self._under_way)
        if free <= 0:
            return False
        try:
            claimed = await self._claim(free)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("the database is away, nothing is claimed: %r", error)
            return False
        for work in claimed:
            task = asyncio.create_task(self._do(work))
            self._under_way.add(task)
            task.add_done_callback(self._end)
        return len(claimed) == free and len(self._under_way) < self._at_once()

    async def _do(self, work: WorkT) -> None:
        try:
            answer = await self._work(work)
        except Exception:
            logger.exception("an attempt failed; it is made again when its lease ends")
            return
        self._answers.append(answer)  # looked up only now: the list may be another than before the work

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._look_again.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds()):
                await self._look_again.wait()
        except TimeoutError:
            pass

    async def _finish(self) -> None:
        """Let the calls that are under way end and be recorded, within reason: it saves making them again."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._record_answers()

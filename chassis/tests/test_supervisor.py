"""Supervised tasks."""

import asyncio

from chassis.supervisor import Supervisor
from chassis.testing.waiting import until


async def test_a_task_that_dies_is_started_again() -> None:
    starts: list[int] = []

    async def die_twice() -> None:
        starts.append(len(starts))
        if len(starts) < 3:
            raise RuntimeError("died")
        await asyncio.Event().wait()

    supervisor = Supervisor()
    supervisor.start("task", die_twice)
    await until(lambda: len(starts) == 3)

    assert supervisor.failing() == []
    await supervisor.stop()


async def test_a_task_that_is_done_is_not_started_again() -> None:
    starts: list[int] = []

    async def once() -> None:
        starts.append(1)

    supervisor = Supervisor()
    supervisor.start("task", once)
    await until(lambda: starts)
    await supervisor.stop()

    assert starts == [1]


async def test_a_task_that_keeps_dying_is_named_k11() -> None:
    async def die() -> None:
        raise RuntimeError("died")

    supervisor = Supervisor(patience_seconds=0.3)
    supervisor.start("good", asyncio.Event().wait)  # type: ignore[arg-type]  # its answer is not looked at
    supervisor.start("bad", die)
    await until(lambda: supervisor.failing() == ["bad"])

    await supervisor.stop()


async def test_tasks_are_stopped_the_newest_first_and_have_ended_then() -> None:
    ended: list[str] = []

    def a_task(name: str) -> None:
        async def run() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        supervisor.start(name, run)

    supervisor = Supervisor()
    for name in ("first", "second", "third"):
        a_task(name)
    await asyncio.sleep(0)

    await supervisor.stop()

    assert ended == ["third", "second", "first"]

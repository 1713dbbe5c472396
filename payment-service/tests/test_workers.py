"""Work that is claimed, done and recorded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.testing.waiting import until

from payment_service.workers import Worker


class Books:
    """What there is to do, by number, and what was recorded of it."""

    def __init__(self, count: int) -> None:
        self.due = list(range(count))
        self.under_way = self.most_at_once = self.records = 0
        self.recorded: list[int] = []
        self.bad: set[int] = set()

    async def claim(self, limit: int) -> Sequence[int]:
        await asyncio.sleep(0)
        claimed, self.due = self.due[:limit], self.due[limit:]
        return claimed

    async def work(self, number: int) -> int:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(number % 3 * 0.001)
        self.under_way -= 1
        if number < 0:
            raise RuntimeError("this one always fails")
        return number

    async def record(self, answers: Sequence[int]) -> None:
        await asyncio.sleep(0.001)  # others are answered meanwhile
        self.records += 1
        if self.bad & set(answers):
            raise ValueError("this can't be recorded")
        self.recorded += answers


@asynccontextmanager
async def working(books: Books, *, at_once: int = 8) -> AsyncIterator[asyncio.Event]:
    due = asyncio.Event()
    worker = Worker(
        claim=books.claim,
        work=books.work,
        record=books.record,
        due=due,
        at_once=lambda: at_once,
        poll_seconds=lambda: 3600.0,
    )
    task = asyncio.create_task(worker.run())
    try:
        yield due
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_all_that_is_due_is_done_and_recorded_once_without_waiting_for_the_poll() -> None:
    books = Books(200)

    async with working(books):
        await until(lambda: len(books.recorded) >= 200)

    assert sorted(books.recorded) == list(range(200))
    assert books.most_at_once == 8
    assert books.records < 200


async def test_what_becomes_due_is_done_at_once() -> None:
    books = Books(0)

    async with working(books) as due:
        for number in range(3):
            books.due.append(number)
            due.set()
            await until(lambda: not books.due)
        await until(lambda: len(books.recorded) == 3)

    assert books.recorded == [0, 1, 2]


async def test_work_that_fails_leaves_the_rest_alone() -> None:
    books = Books(20)
    books.due.insert(5, -1)

    async with working(books):
        await until(lambda: len(books.recorded) == 20)

    assert sorted(books.recorded) == list(range(20))


async def test_an_answer_that_cannot_be_recorded_leaves_the_others_alone() -> None:
    books = Books(20)
    books.bad = {7}

    async with working(books):
        await until(lambda: len(books.recorded) == 19)

    assert sorted(books.recorded) == [number for number in range(20) if number != 7]


async def test_what_is_under_way_when_it_stops_is_still_recorded() -> None:
    books = Books(8)

    async with working(books):
        await until(lambda: books.most_at_once == 8)

    assert sorted(books.recorded) == list(range(8))

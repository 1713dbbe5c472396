"""Waits until something holds."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(holds: Callable[[], bool | Awaitable[bool]], *, within_seconds: float = 5.0) -> None:
    """Return as soon as `holds()`; fail the test when it does not in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = holds()
        if (isinstance(answer, bool) and answer) or (not isinstance(answer, bool) and await answer):
            return
        assert time.monotonic() < deadline, f"it did not come to hold within {within_seconds} s"
        await asyncio.sleep(0.02)

"""Waiting for a condition, with a deadline; tests have no other sleeps."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], *, timeout_seconds: float = 10.0) -> Any:
    """What `condition` (a plain or an async function) answers once that is true. Raises TimeoutError."""
    async with asyncio.timeout(timeout_seconds):
        while True:
            answer = condition()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = 10.0) -> float:
    """The same without an event loop: once the condition holds, the seconds that it took; fails the test otherwise."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began

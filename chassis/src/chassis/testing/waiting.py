"""Waiting for a condition, with a deadline; tests have no other sleeps."""

import asyncio
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

"""How long it takes until readers see that somebody has come, or has died."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial

from chassis.testing.bench.load import Caller, LoadFailed, request
from chassis.testing.bench.processes import Server
from chassis.testing.waiting import until

from . import mortal
from .asking import FORMS, LONGEST_SECONDS, stands_in, until_body
from .fleet import GUEST, register


async def see_one(
    server: Server, key: str, headers: Mapping[str, str], *, has_stream: bool
) -> tuple[float | None, float]:
    """Seconds from the registration of an instance until it is seen in the stream, and in its application's list."""
    caller = await Caller.connected(server.port)
    stream = await _Stream.opened(server, headers) if has_stream else None
    in_stream = None
    begun = time.perf_counter()
    await caller.ask(register(GUEST, key, "10.9.9.8", headers))
    if stream is not None:
        await stream.tells_of(key)
        in_stream = time.perf_counter() - begun
        await stream.aclose()
    has_come = partial(stands_in, f'"{key}"'.encode())
    await until_body(server, f"/eureka/apps/{GUEST}", headers, has_come, "a new instance")
    await caller.aclose()
    return in_stream, time.perf_counter() - begun


def kill_one(server: Server, headers: Mapping[str, str]) -> float:
    """Seconds from `kill -9` of an instance until it is unknown."""
    process = subprocess.Popen(  # noqa: S603 - the bench's own
        [sys.executable, "-m", "bench.mortal", str(server.port), json.dumps(dict(headers))], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for _ in range(2):  # it has registered, and has renewed
            process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    begun = time.monotonic()
    asyncio.run(_until_gone(server, headers))
    return time.monotonic() - begun


class _Stream:
    """A reader of `GET /eureka/stream` that has heard everything there was."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def opened(cls, server: Server, headers: Mapping[str, str]) -> "_Stream":
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        writer.write(request(f"/eureka/stream?apps={GUEST}", {**headers, "Accept": "text/event-stream"}))
        await reader.readuntil(b"event: registry")
        await reader.readuntil(b"\n\n")
        return cls(reader, writer)

    async def tells_of(self, key: str) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while f'"instanceId":"{key}"'.encode() not in await self._reader.readuntil(b"\n"):
                pass

    async def aclose(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def _until_gone(server: Server, headers: Mapping[str, str]) -> None:
    caller = await Caller.connected(server.port)

    async def is_gone() -> bool:
        head, _ = await caller.ask(request(mortal.PATH, {**headers, **FORMS["JSON"]}))
        if head[9:12] not in (b"200", b"404"):
            raise LoadFailed(f"a killed instance was asked for, and the answer was {head[:40]!r}")
        return head[9:12] == b"404"

    try:
        await until(is_gone, timeout_seconds=LONGEST_SECONDS)
    except TimeoutError:
        raise LoadFailed(f"a killed instance was still there after {LONGEST_SECONDS:.0f} s") from None
    await caller.aclose()

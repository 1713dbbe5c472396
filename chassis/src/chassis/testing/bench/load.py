"""Clients in a process of their own: each keeps its connection, and asks again as soon as it is answered."""

import asyncio
import math
import multiprocessing
import os
import re
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.connection import Connection

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TAG = re.compile(rb"\r\netag: *(\S+)", re.IGNORECASE)
_LONGEST_SECONDS = 30.0


@dataclass
class Heard:
    """What the clients saw of one load."""

    seconds: float
    client_processor_seconds: float
    latencies_ns: "array[int]" = field(default_factory=lambda: array("q"))
    all_answers: int = 0
    """With those that came while the server warmed up, and that were not timed."""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """What is asked, and what must come: a status, and a text that stands in each answer (or an empty one).

    Each connection sends the requests in their order, round and round, and begins somewhere else in it.
    """

    port: int
    requests: Sequence[bytes]
    status: bytes
    contains: bytes
    connections: int
    warmup_seconds: float
    seconds: float
    processor: int | None = None
    """Where the clients run; None: wherever the system puts them."""


def request(path: str, headers: Mapping[str, str], *, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def entity_tag(head: bytes) -> str | None:
    found = _TAG.search(head)
    return found[1].decode() if found else None


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; not a number if nothing came."""
    ascending = sorted(values)
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else math.nan


class Caller:
    """One connection, without any library between it and the socket: a client must not be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connected(cls, port: int) -> "Caller":
        # The limit is what is read ahead at once: an answer of some 20 kB comes in one piece.
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def ask(self, wanted: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        self._writer.write(wanted)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is not None:
            return head, await self._reader.readexactly(int(length[1]))
        if b"\r\ntransfer-encoding: chunked" not in head.lower():
            return head, b""
        chunks = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            chunks.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return head, b"".join(chunks)

    async def aclose(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def run(load: Load) -> Heard:
    """Raises LoadFailed if the clients do not come through."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_process, args=(theirs, load), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(load.warmup_seconds + load.seconds + _LONGEST_SECONDS):
            raise LoadFailed("the clients have said nothing")
        heard = ours.recv()
    except EOFError:
        raise LoadFailed("the clients ended by themselves") from None
    finally:
        process.terminate()
        process.join()
    assert isinstance(heard, Heard)
    return heard


class LoadFailed(Exception):
    """Why, in one sentence."""


def _in_process(pipe: Connection, load: Load) -> None:
    if load.processor is not None:
        os.sched_setaffinity(0, {load.processor})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(runner.run(_ask_on_all_connections(load)))


async def _ask_on_all_connections(load: Load) -> Heard:
    callers = [await Caller.connected(load.port) for _ in range(load.connections)]
    turns = []
    for number in range(load.connections):
        start = number * len(load.requests) // load.connections
        turns.append(islice(cycle(load.requests), start, None))
    each = list(zip(callers, turns, strict=True))
    warming = await asyncio.gather(*(_ask_for(load.warmup_seconds, *one, load) for one in each))
    used, begun = time.process_time(), time.monotonic()
    counted = await asyncio.gather(*(_ask_for(load.seconds, *one, load) for one in each))
    heard = Heard(time.monotonic() - begun, time.process_time() - used)
    for latencies_ns, faults in counted:
        heard.latencies_ns.extend(latencies_ns)
        heard.faults += faults
    for latencies_ns, faults in warming:
        heard.all_answers += len(latencies_ns)
        heard.faults += faults
    heard.all_answers += len(heard.latencies_ns)
    for caller in callers:
        await caller.aclose()
    return heard


async def _ask_for(
    seconds: float, caller: Caller, requests: "islice[bytes]", load: Load
) -> "tuple[array[int], list[str]]":
    latencies_ns: array[int] = array("q")
    faults: list[str] = []
    begun = time.perf_counter_ns()
    deadline = begun + int(seconds * 1e9)
    while begun < deadline:
        head, body = await caller.ask(next(requests))
        ended = time.perf_counter_ns()
        latencies_ns.append(ended - begun)
        if head[9:12] != load.status or load.contains not in body:
            faults.append(f"{head[:40]!r} {body[:100]!r}")
        begun = ended
    return latencies_ns, faults

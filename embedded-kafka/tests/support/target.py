"""A broker inside this process that is being shot at, and a client beside it that must not notice."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

from aiokafka.protocol.admin import DescribeGroupsRequest_v0, ListGroupsRequest_v0

from embedded_kafka import EmbeddedKafka

from .batches import batch
from .fuzzing import TOPICS
from .structs import Peer, answers_in

_BUSY_SECONDS = 3
_MOST_TOPICS = 20
_BYSTANDER_TOPIC = "bystander"


class Busy(Exception):
    """The event loop, and with it everybody, has waited for one example for too long."""


class Target:
    def __init__(self, kafka: EmbeddedKafka, bystander: Peer, troubles: list[str]) -> None:
        self.bootstrap = kafka.bootstrap
        self.bystander = bystander
        self._troubles = troubles
        self._checks = 0
        self._records = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, data: Path) -> AsyncIterator[Self]:
        """The settings let groups live and die quickly."""
        settings: dict[str, Any] = {
            "initial_rebalance_seconds": 0,
            "min_session_seconds": 0.1,
            "max_fetch_bytes": 65536,
        }
        with _troubles() as troubles:
            async with (
                EmbeddedKafka(data, max_session_seconds=10, **settings) as kafka,
                await Peer.connect(kafka.bootstrap) as bystander,
            ):
                await bystander.create_topic(_BYSTANDER_TOPIC)
                target = cls(kafka, bystander, troubles)
                await target.check()
                yield target
            assert not troubles, troubles

    async def hit(self, *pieces: bytes, seconds: float = _BUSY_SECONDS) -> list[tuple[int, bytes]]:
        """Sends the pieces one by one, then nothing more; the answers that came (correlation id and body)."""
        loop = asyncio.get_running_loop()
        received = bytearray()

        async def receive() -> None:
            with contextlib.suppress(ConnectionError):
                while more := await loop.sock_recv(client, 2**16):
                    received.extend(more)

        # Not over a transport: that would lose answers when it can't send any more.
        with busy_at_most(seconds), socket.socket() as client:
            client.setblocking(False)
            host, _, port = self.bootstrap.rpartition(":")
            await loop.sock_connect(client, (host, int(port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(receive())
                with contextlib.suppress(OSError):  # it has been refused while we are still talking
                    for piece in pieces:
                        await loop.sock_sendall(client, piece)
                        await asyncio.sleep(0)  # so that the broker may read it before the next
                    client.shutdown(socket.SHUT_WR)
        return answers_in(bytes(received))

    async def is_empty(self, group: str) -> bool:
        answer = await self.bystander.ask(DescribeGroupsRequest_v0([group]))
        [(error_code, _, state, _, _, members)] = answer.groups
        assert error_code == 0
        return (state, members) == ("Empty", [])

    async def check(self) -> None:
        """That the broker is well, and that what the next examples need is there."""
        with busy_at_most(_BUSY_SECONDS):
            topics = await self.bystander.topics()
            assert topics[_BYSTANDER_TOPIC] == 1
            for name in TOPICS:
                if name not in topics:
                    await self.bystander.create_topic(name, 2, segment_bytes="2000")
            if len(topics) > _MOST_TOPICS:
                for name in topics.keys() - {*TOPICS, _BYSTANDER_TOPIC}:
                    await self.bystander.delete_topic(name)
            if self._checks % 10 == 0:
                value = b"%d" % self._records
                assert await self.bystander.produce(_BYSTANDER_TOPIC, 0, batch(value)) == (0, self._records)
                assert value in await self.bystander.fetch(_BYSTANDER_TOPIC, 0, self._records)
                assert (await self.bystander.ask(ListGroupsRequest_v0())).error_code == 0
                self._records += 1
        self._checks += 1
        assert not self._troubles, self._troubles


@contextlib.contextmanager
def _troubles() -> Iterator[list[str]]:
    """What reached the event loop's exception handler, and what was logged as an error."""
    troubles: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            troubles.append(logging.Formatter().format(record))

    listening = Listening(logging.ERROR)
    logger = logging.getLogger("embedded_kafka")
    level_before = logger.level
    logger.setLevel(logging.ERROR)  # pytest would keep thousands of warnings
    logger.addHandler(listening)
    loop = asyncio.get_running_loop()
    handler_before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: troubles.append(f"{context}"))
    try:
        yield troubles
    finally:
        loop.set_exception_handler(handler_before)
        logger.removeHandler(listening)
        logger.setLevel(level_before)


@contextlib.contextmanager
def busy_at_most(seconds: float) -> Iterator[None]:
    """Broker and test share the loop, so no timeout of asyncio would tell of a broker that is lost in a computation."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        raise Busy(f"for {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

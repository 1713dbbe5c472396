"""Three servers whose ways to each other can be cut, on clocks that run fast and differ by minutes."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from pathlib import Path

from chassis.testing.server import free_socket

from discovery_server.registry.clock import Clock
from discovery_server.registry.registry import Registry

from .cutting_proxy import CuttingProxy, cutting_proxy
from .server import RunningServer, running_server

INTERVAL_SECONDS = 0.3
SPEED = 10  # leases of 20 s run out after two
_WALL_CLOCKS_APART_MS = [0, 240_000, -180_000]


class Mesh:
    """Servers by number; the way from one to another has its own proxy."""

    def __init__(self, folder: Path) -> None:
        self.servers: list[RunningServer] = []
        self.ways: dict[tuple[int, int], CuttingProxy] = {}
        self._folder = folder
        self._stacks: list[AsyncExitStack] = []
        self._ports: list[int] = []

    @property
    def registries(self) -> list[Registry]:
        return [server.registry for server in self.servers]

    def agree(self) -> bool:
        first, *others = (registry.digests() for registry in self.registries)
        return all(other == first for other in others)

    def heal(self) -> None:
        for way in self.ways.values():
            way.heal()

    async def start(self) -> None:
        listeners = [free_socket() for _ in range(3)]
        self._ports = [listener.getsockname()[1] for listener in listeners]
        for (_, other), way in self.ways.items():
            way.target_port = self._ports[other]
        for number, listener in enumerate(listeners):
            listener.close()
            self._stacks.append(AsyncExitStack())
            self.servers.append(await self._stacks[number].enter_async_context(self._server(number)))

    async def restart(self, number: int, *, forgetting: bool) -> None:
        """End a server and start it anew; with `forgetting` its snapshot is lost as well."""
        await self._stacks[number].aclose()
        if forgetting:
            for file in self._state_dir(number).glob("*"):
                file.unlink()
        self.servers[number] = await self._stacks[number].enter_async_context(self._server(number))

    async def stop(self) -> None:
        for stack in self._stacks:
            await stack.aclose()

    def _state_dir(self, number: int) -> Path:
        return self._folder / str(number)

    @asynccontextmanager
    async def _server(self, number: int) -> AsyncIterator[RunningServer]:
        clock = Clock(
            monotonic_seconds=lambda: time.monotonic() * SPEED,
            wall_ms=lambda: round(time.time() * 1000) + _WALL_CLOCKS_APART_MS[number],
        )
        peers = [f"http://127.0.0.1:{way.port}/eureka" for (one, _), way in self.ways.items() if one == number]
        # The same port again, after which the snapshot is named.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._ports[number]))
        async with running_server(
            clock=clock,
            listener=listener,
            state_dir=self._state_dir(number),
            peers=",".join(peers),
            peer_interval_seconds=INTERVAL_SECONDS,
            sweep_seconds=0.05,
            self_preservation=False,
            warm_up_seconds=0,
        ) as server:
            yield server


@asynccontextmanager
async def three_servers(folder: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(folder)
    async with AsyncExitStack() as stack:
        for way in permutations(range(3), 2):
            mesh.ways[way] = await stack.enter_async_context(cutting_proxy())
        try:
            await mesh.start()
            yield mesh
        finally:
            await mesh.stop()

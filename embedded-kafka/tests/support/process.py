"""A broker in a process of its own, that can be killed and started again at the same address."""

import asyncio
import os
import socket
import sys
from pathlib import Path


class BrokerProcess:
    def __init__(self, data: Path) -> None:
        self._data = data
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> "BrokerProcess":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "embedded_kafka",
            env=os.environ | {"KAFKA_DATA": str(self._data), "PORT": str(self._port)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout
        async with asyncio.timeout(10):
            assert (await self._process.stdout.readline()).startswith(b"ready ")

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

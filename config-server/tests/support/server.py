"""A server on a free port of this machine, and a client that sends paths as they are."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn

from config_server.app import create_app
from config_server.settings import Settings


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def values(self) -> dict[str, Any]:
        """The environment with the strongest values."""
        merged: dict[str, Any] = {}
        for source in reversed(self.json()["propertySources"]):
            merged |= source["source"]
        return merged

    def files(self) -> list[str]:
        """The names of the property sources without the repository, the strongest first."""
        return [source["name"].rpartition(".git/")[2] for source in self.json()["propertySources"]]


@dataclass(frozen=True)
class RunningServer:
    port: int

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
    ) -> Answer:
        """Send a request whose path is not tidied up on the way, with no other headers than these and the needed."""
        data = body.encode() if isinstance(body, str) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


class _PromptServer(uvicorn.Server):
    """Ends when it is told to: uvicorn's own loop looks ten times a second, and many tests have a server each."""

    async def main_loop(self) -> None:
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await self._end.wait()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)


def running(**fields: Any) -> AbstractContextManager[RunningServer]:
    """A config-server with these settings, in a thread of its own, without what runs beside its requests."""
    return _running(fields, lifespan="off")


def running_whole(**fields: Any) -> AbstractContextManager[RunningServer]:
    """The same with all that fetches, watches and tells in the background."""
    return _running(fields, lifespan="on")


@contextmanager
def _running(fields: Mapping[str, Any], *, lifespan: Literal["on", "off"]) -> Iterator[RunningServer]:
    properties = {f"config-server.{name.replace('_', '-')}": value for name, value in fields.items()}
    app = create_app(Settings.of(properties))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _PromptServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan=lifespan))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.01)
            yield RunningServer(listener.getsockname()[1])
        finally:
            server.end()
            thread.join(10)

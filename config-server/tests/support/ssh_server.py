"""A Git server over ssh: asyncssh for the connection, and the pack protocol (gitprotocol-pack, version 0) over it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pygit2

from support.git_server import GitServer, packet


@dataclass(frozen=True)
class SshServer:
    port: int
    host_key: asyncssh.SSHKey

    @property
    def uri(self) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/config.git"

    def known_hosts_line(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode()}"


@contextmanager
def ssh_server(repository: Path, client_key: asyncssh.SSHKey) -> Iterator[SshServer]:
    """On a free port, in a thread of its own, for whoever has the key."""
    served = GitServer(pygit2.Repository(str(repository)))
    host_key = asyncssh.generate_private_key("ssh-ed25519")

    async def answer(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client has gone
            await _upload_pack(served, process)
        process.exit(0)

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(client_key.export_public_key().decode()),
            process_factory=answer,
            encoding=None,
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield SshServer(acceptor.get_port(), host_key)
    finally:

        async def close() -> None:
            acceptor.close()
            await acceptor.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _upload_pack(served: GitServer, process: "asyncssh.SSHServerProcess[bytes]") -> None:
    process.stdout.write(served.advertisement())
    wanted: list[str] = []
    has_some = False
    while True:
        size = int(await process.stdin.readexactly(4), 16)
        words = (await process.stdin.readexactly(size - 4)).decode().split() if size else []
        if not words:
            if not wanted:
                return  # it only wanted to know what there is
            if has_some:
                process.stdout.write(packet(b"NAK\n"))
        elif words[0] == "want":
            wanted.append(words[1])
        elif words[0] == "have":
            has_some = True  # which nobody asked for: everything is sent anew
        elif words[0] == "done":
            process.stdout.write(packet(b"NAK\n") + served.pack(wanted))
            return

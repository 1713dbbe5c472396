"""One reader that fetches a document again and again, without looking at it: how long it takes, not how it is read."""

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.testing.bench.load import request
from chassis.testing.bench.processes import Server

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_SECONDS = 60.0


@dataclass
class Fetches:
    document_bytes: int = 0
    """As it came over the wire."""
    latencies_ms: list[float] = field(default_factory=list)
    processor_ms: float = 0.0
    faults: list[str] = field(default_factory=list)


class Fetcher:
    """Blocks, and reads into the same memory each time."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._memory = memoryview(bytearray(1 << 20))

    def fetch(self, path: str, headers: Mapping[str, str]) -> tuple[bytes, int]:
        """The head, and the size of the body."""
        self._connection.sendall(request(path, headers))
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, begun = received.partition(b"\r\n\r\n")
        size, end = len(begun), begun[-len(_LAST_CHUNK) :]
        length = _LENGTH.search(head + b"\r\n")
        while size < int(length[1]) if length else not end.endswith(_LAST_CHUNK):
            got = self._connection.recv_into(self._memory)
            if not got:
                raise ConnectionError("the server has closed the connection")
            size += got
            end = (end + bytes(self._memory[max(0, got - len(_LAST_CHUNK)) : got]))[-len(_LAST_CHUNK) :]
        return head, size

    def _more(self) -> bytes:
        got = self._connection.recv(1 << 16)
        if not got:
            raise ConnectionError("the server has closed the connection")
        return got

    def close(self) -> None:
        self._connection.close()


def fetch_repeatedly(server: Server, path: str, headers: Mapping[str, str], *, times: int, unmeasured: int) -> Fetches:
    """The first ones are not counted: the document is made then, and Java compiles as it goes."""
    fetcher = Fetcher(server.port)
    found = Fetches()
    used = 0.0
    for number in range(-unmeasured, times):
        if number == 0:
            used = server.processor_seconds()
        begun = time.perf_counter()
        head, found.document_bytes = fetcher.fetch(path, headers)
        if number >= 0:
            found.latencies_ms.append((time.perf_counter() - begun) * 1e3)
        if head[9:12] != b"200":
            found.faults.append(f"{path}: {head[:40]!r}")
    found.processor_ms = (server.processor_seconds() - used) / times * 1e3
    fetcher.close()
    return found

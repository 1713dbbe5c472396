"""An HTTP proxy that tunnels (CONNECT, RFC 9110 §9.3.6) to one place, wherever it is asked to go."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def tunnel_to(port: int) -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy whose tunnels all end at this port, and the first lines of the requests it has had."""
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, port, heads))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, port: int, heads: list[str]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        head = b""
        while not head.endswith(b"\r\n\r\n") and (got := client.recv(1)):
            head += got
        heads.append(head.partition(b"\r\n")[0].decode())
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there = socket.create_connection(("127.0.0.1", port))
        for source, target in ((client, there), (there, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()

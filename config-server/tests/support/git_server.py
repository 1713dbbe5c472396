"""A Git server that can be broken: Git's smart HTTP protocol (version 0) in Python, over TLS if wanted."""

import base64
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pygit2


@dataclass
class GitServer:
    """Serves one repository to whoever fetches it, and breaks as a test says."""

    repository: pygit2.Repository
    port: int = 0
    scheme: str = "http"
    credential: tuple[str, str] | None = None
    # "refuse": 503 to everything; "garbage": no Git at all; "cut": half a pack; "hang": nothing, until `heal`;
    # "redirect": to `elsewhere`; None: well.
    fault: str | None = None
    elsewhere: str = ""
    requests: list[str] = field(default_factory=list)
    passwords_seen: list[str] = field(default_factory=list)
    _healed: threading.Event = field(default_factory=threading.Event)

    @property
    def uri(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/config.git"

    @property
    def fetches(self) -> int:
        """How often somebody asked what there is."""
        return sum(request.endswith("git-upload-pack") and request.startswith("GET") for request in self.requests)

    def heal(self) -> None:
        self.fault = None
        self._healed.set()

    def wait_until_healed(self) -> None:
        self._healed.wait(20)

    def references(self) -> list[tuple[str, str]]:
        """What there is, as the protocol tells it: HEAD first, each annotated tag with what it points to."""
        told = []
        if not self.repository.head_is_unborn:
            told.append(("HEAD", str(self.repository.head.target)))
        for name in sorted(self.repository.references):
            target = self.repository.lookup_reference(name).target
            told.append((name, str(target)))
            if isinstance(tag := self.repository[target], pygit2.Tag):
                told.append((f"{name}^{{}}", str(tag.target)))
        return told

    def advertisement(self) -> bytes:
        """The references as packets (gitprotocol-pack)."""
        lines = []
        first = f"\0symref=HEAD:{self.repository.lookup_reference('HEAD').target} agent=test"
        for name, target in self.references() or [("capabilities^{}", "0" * 40)]:
            lines.append(f"{target} {name}{first}\n".encode())
            first = ""
        return b"".join(map(packet, [*lines, b""]))

    def pack(self, wanted: list[str]) -> bytes:
        """Everything that can be reached from these, whatever the client has."""
        builder = pygit2.PackBuilder(self.repository)
        for name in wanted:
            found = self.repository[name]
            while isinstance(found, pygit2.Tag):
                builder.add(found.id)
                found = self.repository[found.target]
            for commit in self.repository.walk(found.id):
                builder.add(commit.id)
                builder.add_recur(commit.tree_id)
        with tempfile.TemporaryDirectory() as folder:
            builder.write(folder)
            return next(Path(folder).glob("*.pack")).read_bytes()


@contextmanager
def git_server(repository: Path, *, certificate: Path | None = None, **fields: Any) -> Iterator[GitServer]:
    """A server on a free port; with a certificate (and its key, in one file) over TLS."""
    served = GitServer(pygit2.Repository(str(repository)), **fields)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    httpd.daemon_threads = True
    served.port = httpd.server_port
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Not at accept: a client that does not like the certificate must not hold up the others.
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
        served.scheme = "https"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.heal()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: GitServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client went away, which is what some tests are about
            self.close_connection = True

    def do_GET(self) -> None:
        if self._fails():
            return
        service = packet(b"# service=git-upload-pack\n") + packet(b"")
        self._answer(service + self.served.advertisement(), "application/x-git-upload-pack-advertisement")

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self._fails():
            return
        said = [line.decode().split() for line in packets(body)]
        answer = packet(b"NAK\n")
        if ["done"] in said:
            answer += self.served.pack([words[1] for words in said if words and words[0] == "want"])
        kind = "application/x-git-upload-pack-result"
        if self.served.fault == "cut":
            self.close_connection = True
            self._answer(answer[: len(answer) // 2], kind, claimed_bytes=len(answer))
        else:
            self._answer(answer, kind)

    def _fails(self) -> bool:
        self.served.requests.append(f"{self.command} {self.path}")
        given = self.headers.get("authorization", "")
        if given:
            self.served.passwords_seen.append(base64.b64decode(given.partition(" ")[2]).decode())
        if self.served.fault == "hang":
            self.served.wait_until_healed()
            self.close_connection = True
            return True
        if self.served.fault == "refuse":
            self.send_error(503)
        elif self.served.fault == "garbage":
            self._answer(b"<html>Please log in</html>", "text/html")
        elif self.served.fault == "redirect":
            self.send_response(302)
            parts = urlsplit(self.path)
            self.send_header("Location", f"{self.served.elsewhere}/info/refs?{parts.query}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.served.credential and given != _basic(self.served.credential):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            return False
        return True

    def _answer(self, body: bytes, content_type: str, *, claimed_bytes: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(claimed_bytes or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        pass


def _basic(credential: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credential).encode()).decode()


def packet(line: bytes) -> bytes:
    """A pkt-line (gitprotocol-common); the empty one is a flush."""
    return f"{len(line) + 4:04x}".encode() + line if line else b"0000"


def packets(body: bytes) -> Iterator[bytes]:
    while body:
        size = int(body[:4], 16)
        yield body[4:size] if size else b""
        body = body[size or 4 :]

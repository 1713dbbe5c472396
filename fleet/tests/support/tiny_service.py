"""A service in forty lines, which behaves and misbehaves as its environment says."""

import http.server
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = json.dumps(_about_this_process() if self.path == "/about" else {"status": "UP"}).encode()
        self.send_response(503 if "NEVER_READY" in os.environ else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing for each request."""


def _about_this_process() -> dict[str, Any]:
    from chassis.ids import uuid7

    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "environment": dict(os.environ),
        "descriptors": [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()],
        "modules": sorted(sys.modules),
        "random": random.random(),
        "id": str(uuid7()),
    }


def main() -> None:
    sys.stdout.write(f"{os.environ.get('NAME', 'tiny')} runs\n")
    if sentence := os.environ.get("DIE_SAYING"):
        sys.exit(sentence)
    if "RAISE" in os.environ:
        raise ValueError("this was to be expected")
    signal.signal(signal.SIGTERM, _end if "IGNORE_SIGTERM" not in os.environ else signal.SIG_IGN)
    http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), _Handler).serve_forever()


def _end(*_: Any) -> None:
    sys.stdout.write("ends well\n")
    sys.exit(0)


if __name__ == "__main__":
    main()

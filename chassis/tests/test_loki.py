"""Shipping logs to Loki."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chassis.loki import LokiShipper


class Loki:
    """Takes pushes as Loki's API has them, outside of what the fleet is."""

    def __init__(self) -> None:
        self.pushed: list[dict[str, Any]] = []
        loki = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                loki.pushed.append({"path": self.path, **json.loads(body)})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def loki() -> Iterator[Loki]:
    loki = Loki()
    yield loki
    loki.server.shutdown()
    loki.server.server_close()


def a_record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("demo", level, __file__, 1, message, None, None)


def test_lines_are_shipped_in_batches_with_few_labels_and_the_time_they_were_logged(loki: Loki) -> None:
    shipper = LokiShipper(loki.url, {"service": "demo-service"})
    records = [a_record(f"line {number}") for number in range(20)] + [a_record("bad", logging.ERROR)]
    for record in records:
        shipper.emit(record)
    shipper.close()
    shipper._emitter.close()

    assert len(loki.pushed) == 1
    assert loki.pushed[0]["path"] == "/loki/api/v1/push"
    streams = {stream["stream"]["severity"]: stream for stream in loki.pushed[0]["streams"]}
    assert streams["info"]["stream"] == {"service": "demo-service", "severity": "info", "logger": "demo"}
    assert [line for _, line in streams["info"]["values"]] == [f"line {number}" for number in range(20)]
    assert streams["error"]["values"] == [[str(int(records[-1].created * 1e9)), "bad"]]


def test_a_loki_that_is_away_costs_its_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    shipper = LokiShipper("http://127.0.0.1:1", {"service": "demo-service"})
    shipper.emit(a_record("lost"))
    shipper.close()

    assert shipper.dropped == 1
    assert "1 lines dropped" in capsys.readouterr().err

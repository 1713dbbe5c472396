"""A service as a process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PROGRAM = """
from fastapi import FastAPI
from support.demo import DemoSettings
from chassis.health import Health
from chassis.service import serve
from chassis.web import add_service_defaults

def create_app(settings):
    app = FastAPI()
    add_service_defaults(app, settings, health=Health())
    return app

serve(DemoSettings, create_app)
"""


@contextmanager
def started(**environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_says_where_it_listens_and_ends_when_asked_to() -> None:
    with started(PORT="0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.partition("listens on ")[2].split(" ")[0]
        assert httpx.get(f"{url}/actuator/health").status_code == 200

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_an_occupied_port_is_one_sentence_and_exit_code_1() -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        with started(PORT=str(port)) as process:
            _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert errors.startswith(f"demo-service: port {port} on 127.0.0.1 can't be listened on: Address already in use.")
    assert "Traceback" not in errors


def test_profile_prod_refuses_a_known_development_secret() -> None:
    with started(PROFILE="prod", SERVICE_PASSWORD="changeme") as process:
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "SERVICE_PASSWORD is a known development secret" in errors


def test_a_config_server_that_stays_away_is_one_sentence(tmp_path: Path) -> None:
    began = time.monotonic()
    with started(CONFIG_SOURCE="http://127.0.0.1:1", CONFIG_WAIT_SECONDS="0.2", STATE_DIR=str(tmp_path)) as process:
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "the config-server at http://127.0.0.1:1 does not answer" in errors
    assert "Traceback" not in errors
    assert time.monotonic() - began < 10

"""The `fleet` command, as a person types it."""

import os
import subprocess
import sys
from pathlib import Path

FREE_PORTS = {"CONFIG_SERVER_PORT": "0", "DISCOVERY_SERVER_PORT": "0", "GATEWAY_PORT": "0"}


def begin_fleet(project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from fleet.cli import main; main()", *arguments],
        env={**os.environ, **FREE_PORTS, "FLEET_HOME": str(project), "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fleet(project: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    process = begin_fleet(project, *arguments, **environment)
    told, complained = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, told, complained)

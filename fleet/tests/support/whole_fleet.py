"""The whole fleet in a folder of its own, started and stopped by the commands that people use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]


class WholeFleet:
    def __init__(self, home: Path, *, order_deadline_seconds: float = 60.0) -> None:
        self.home = home
        shutil.copytree(PROJECT / "config-files", home / "config-files")
        settings = home / "config-files" / "order-service.yml"
        settings.write_text(f"{settings.read_text()}\norder.deadline-seconds: {order_deadline_seconds}\n")

    def up(self) -> str:
        """Start it; what the command said. Raises AssertionError with that if it does not come up."""
        return self.run("up")

    def run(self, *arguments: str) -> str:
        """`fleet` with these arguments."""
        environment = {
            **os.environ,
            "FLEET_HOME": str(self.home),
            "CONFIG_SERVER_PORT": "0",
            "DISCOVERY_SERVER_PORT": "0",
            "GATEWAY_PORT": "0",
        }
        done = subprocess.run(
            [Path(sys.executable).parent / "fleet", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

"""Starts services as programs of their own, `python -m <package>`, where they can't be forked (macOS)."""

import subprocess
import sys

from chassis.launcher import launch_command

from .plan import Part


def spawn(part: Part, log: int) -> subprocess.Popen[bytes]:
    """Start a part as a child that ends with this process (where the system can do that)."""
    command = [sys.executable, "-u", "-m", part.entry.removesuffix(".__main__")]
    return subprocess.Popen(  # noqa: S603 - our own packages
        launch_command(command),
        env=dict(part.environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )

"""Which ports the fleet's processes listen on: three known ones, free ones for all others."""

import os
import random
import socket
from pathlib import Path

from .state import FleetProblem

_LOWEST = 10240
_LOWEST_OF_CLIENTS = 32768  # where the system says nothing else: Linux begins here, macOS at 49152


def check_is_free(port: int, option: str) -> int:
    """The same port; 0 is any free one. Raises FleetProblem that names the option which moves it."""
    if port == 0:
        return free_port()
    try:
        _listen(port)
    except OSError as error:
        raise FleetProblem(
            f"Port {port} can't be listened on: {os.strerror(error.errno or 0)}. "
            f"Stop what uses it, or choose another with {option}."
        ) from error
    return port


def free_port() -> int:
    """A port that is free now, below those that the system gives to outgoing connections.

    One of those could be taken by any client in the moment in which a service is started anew.
    """
    highest = max(_lowest_of_clients() - 1, _LOWEST + 1000)
    for _ in range(1000):
        port = random.randint(_LOWEST, highest)  # noqa: S311 - nothing secret
        try:
            _listen(port)
        except OSError:
            continue
        return port
    raise FleetProblem(f"No free port was found between {_LOWEST} and {highest}.")


def _listen(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, or a port just left would count
        probe.bind(("127.0.0.1", port))
        probe.listen()


def _lowest_of_clients() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LOWEST_OF_CLIENTS

"""Ports: an occupied one is told with the option that moves it, a free one is out of clients' reach."""

import socket
from pathlib import Path

import pytest

from fleet.ports import check_is_free, free_port
from fleet.state import FleetProblem


def test_an_occupied_port_is_told_with_the_option_that_moves_it() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(FleetProblem, match=f"^Port {port} .*Address already in use.* another with --gateway-port"):
            check_is_free(port, "--gateway-port or GATEWAY_PORT")


def test_a_free_port_is_taken_as_it_is_and_0_is_any_free_one() -> None:
    port = free_port()

    assert check_is_free(port, "--gateway-port") == port
    assert check_is_free(0, "--gateway-port") > 0


def test_free_ports_are_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(port < lowest for port in (free_port() for _ in range(50)))

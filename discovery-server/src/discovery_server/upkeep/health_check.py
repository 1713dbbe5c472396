"""One question to one instance's health check, and only to its own. Knows nothing of leases."""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from discovery_server.registry.instance import Instance

_LONGEST_STATUS_LINE = 1024
_GOOD_STATUS = re.compile(rb"HTTP/1\.[01] 2\d\d")
_PORTS = {"http": 80, "https": 443}

# Where clouds tell a machine of itself, credentials among it; most do at a link-local address, which is refused anyway.
_METADATA_SERVICES = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))


class Outcome(StrEnum):
    ANSWERED = "answered"  # with a 2xx
    REFUSED = "refused"  # its machine is there and nothing listens on the port
    NOTHING = "nothing"  # anything else, which may mean anything: another status, no answer, no way there


@dataclass(frozen=True, slots=True)
class ProbeRules:
    interval_seconds: float = 2.0  # between two questions to one instance
    timeout_seconds: float = 1.0
    keep_seconds: float = 300.0  # for so long after its last renewal an answer prolongs a lease
    own_machine: bool = False  # whether this machine's loopback addresses are asked


class HealthCheck:
    """One GET, of which only the first line of the answer is read: no redirect is followed, no proxy asked.

    `own_machine`: whether loopback addresses are asked.
    """

    def __init__(self, *, timeout_seconds: float, own_machine: bool) -> None:
        self._timeout_seconds = timeout_seconds
        self._own_machine = own_machine

    async def ask(self, instance: Instance) -> Outcome | None:
        """What comes of it; None where the instance has no health check that may be asked."""
        url = own_url(instance)
        if url is None:
            return None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                addresses = await self._addresses_of(url)
                if not addresses:
                    return None
                outcomes = [await self._ask_at(address, url) for address in addresses]
        # ValueError: the first line of the answer is longer than any can be.
        except (OSError, ValueError, TimeoutError):
            return Outcome.NOTHING
        if Outcome.ANSWERED in outcomes:
            return Outcome.ANSWERED
        return Outcome.REFUSED if set(outcomes) == {Outcome.REFUSED} else Outcome.NOTHING

    async def _addresses_of(self, url: httpx.URL) -> list[str]:
        """Looked up once and then used as they are, so that a name can't mean another address a moment later."""
        found = await asyncio.get_running_loop().getaddrinfo(url.host, _port_of(url), type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        if all(is_askable(ip_address(address), own_machine=self._own_machine) for address in addresses):
            return addresses
        return []

    async def _ask_at(self, address: str, url: httpx.URL) -> Outcome:
        try:
            reader, writer = await asyncio.open_connection(
                address,
                _port_of(url),
                limit=_LONGEST_STATUS_LINE,
                ssl=self._tls if url.scheme == "https" else None,
                server_hostname=url.host if url.scheme == "https" else None,
            )
        except ConnectionRefusedError:
            return Outcome.REFUSED
        try:
            # httpx's URL has escaped what could end a line.
            writer.write(
                b"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: discovery-server\r\nConnection: close\r\n\r\n"
                % (url.raw_path, url.netloc)
            )
            return Outcome.ANSWERED if _GOOD_STATUS.match(await reader.readline()) else Outcome.NOTHING
        finally:
            writer.transport.abort()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def own_url(instance: Instance) -> httpx.URL | None:
    """The instance's health check, if that is its own: who registers must not send us anywhere else."""
    own = {name.strip("[]").rstrip(".").lower() for name in (instance.host_name, instance.ip_address)}
    try:
        url = httpx.URL(instance.health_check_url or instance.secure_health_check_url or "")
        host = url.host.rstrip(".").lower()
    # ValueError: a host in Punycode that is none.
    except (httpx.InvalidURL, ValueError):
        return None
    if url.scheme not in _PORTS or url.userinfo or not 0 < _port_of(url) < 65536:
        return None
    return url if host in own else None


def is_askable(address: IPv4Address | IPv6Address, *, own_machine: bool) -> bool:
    """Whether an address can be an instance's: no cloud's metadata service, no group, not this machine by mistake."""
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return own_machine
    return not (
        address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA_SERVICES
    )


def _port_of(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port

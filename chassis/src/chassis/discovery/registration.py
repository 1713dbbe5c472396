"""Keeps this instance registered while it is ready, at one discovery-server that works."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from urllib.error import URLError

import httpx
from prometheus_client import Gauge
from py_eureka_client import eureka_basic, http_client

from chassis.settings import ServiceSettings

from .servers import TIMEOUT_SECONDS, Servers, address_of, internal_client

logger = logging.getLogger(__name__)

REGISTERED = Gauge("discovery_registered", "1 while this instance is registered as UP")

# How long the gateway may take to hear that this instance is DOWN and to send its last request.
_LINGER_SECONDS = 0.2

_FAILURES = (httpx.HTTPError, URLError)


class Registration:
    """Keeps this instance registered: UP while it says that it is ready, DOWN otherwise.

    Where there are several servers, one is told, and tells the others; another one is told when that one fails.

    The wire calls are py-eureka-client's; its own client class is not used: it renews from a thread with an event loop
    of its own, and makes a new HTTP client for each call.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._servers = Servers.of(settings)
        self._instance = _describe(settings)
        self._self_check = f"{self._instance.homePageUrl}actuator/health/readiness"
        self._status = ""

    async def run(self) -> None:
        """Register once ready, then renew; to be run as a supervised task after the HTTP server has started."""
        async with internal_client(timeout_seconds=TIMEOUT_SECONDS) as client:
            http_client.set_http_client(_KeptHttpClient(client))
            pause = 0.05
            while True:
                ready = await self._is_ready(client)
                try:
                    await self._tell("UP" if ready else "DOWN")
                    pause = self._settings.discovery_renewal_seconds if ready else 0.1
                except _FAILURES as error:
                    self._forget()
                    logger.warning("discovery does not take the registration, trying again: %s", error)
                    pause = min(pause * 2, self._settings.discovery_renewal_seconds)
                await asyncio.sleep(pause)

    async def drain(self) -> None:
        """Tell discovery to send no more work here; returns when whoever follows the registry has heard of it.

        With status DOWN rather than an OUT_OF_SERVICE override: an override would outlive a process that is killed
        while it drains, and keep its successor at the same address out of service.
        """
        if await self._say_goodbye(lambda server: self._register(server, "DOWN")):
            await asyncio.sleep(_LINGER_SECONDS)

    async def leave(self) -> None:
        """Tell discovery that this instance is gone; if that fails the lease runs out by itself."""
        await self._say_goodbye(
            lambda server: eureka_basic.cancel(server, self._instance.app, self._instance.instanceId)
        )
        self._forget()

    async def _say_goodbye(self, call: Callable[[str], Awaitable[None]]) -> bool:
        if not self._status:
            return False
        async with internal_client(timeout_seconds=1.0) as client:
            http_client.set_http_client(_KeptHttpClient(client))
            try:
                await self._at_one_server(call)
            except _FAILURES as error:
                logger.warning("discovery was not told that this instance stops: %s", error)
                return False
        return True

    async def _at_one_server(self, call: Callable[[str], Awaitable[None]]) -> None:
        """Make a call to the server that worked last or, as long as it fails, to the next. Raises the last failure."""
        servers = self._servers.in_turn()
        for server in servers:
            try:
                await call(server)
            except _FAILURES as error:
                if server is servers[-1]:
                    raise
                logger.info("the discovery-server at %s failed, asking the next: %s", address_of(server), error)
            else:
                self._servers.prefer(server)
                return

    async def _tell(self, status: str) -> None:
        if status == self._status == "UP":
            await self._at_one_server(self._renew)
        elif status == "UP" or self._status == "UP":  # before it is ready nobody needs to know of this instance
            await self._at_one_server(lambda server: self._register(server, status))

    async def _renew(self, server: str) -> None:
        instance = self._instance
        try:
            await eureka_basic.send_heartbeat(
                server, instance.app, instance.instanceId, instance.lastDirtyTimestamp, status=self._status
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            # It was started anew, or it is another one that has not heard of this instance.
            await self._register(server, self._status)

    async def _register(self, server: str, status: str) -> None:
        self._instance.status = status
        self._instance.lastDirtyTimestamp = self._instance.lastUpdatedTimestamp = time.time_ns() // 1_000_000
        await eureka_basic.register(server, self._instance)
        logger.info("registered with discovery at %s as %s", address_of(server), status)
        self._status = status
        REGISTERED.set(1 if status == "UP" else 0)

    def _forget(self) -> None:
        self._status = ""
        REGISTERED.set(0)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(self._self_check)).status_code == 200
        except httpx.HTTPError:
            return False


def _describe(settings: ServiceSettings) -> eureka_basic.Instance:
    host, name = _reachable_host(settings), settings.service_name
    url = f"http://{host}:{settings.port}/"
    renewal = settings.discovery_renewal_seconds
    return eureka_basic.Instance(
        instanceId=f"{host}:{name}:{settings.port}",
        hostName=host,
        ipAddr=host,
        app=name.upper(),
        port=eureka_basic.PortWrapper(settings.port, True),
        vipAddress=name,
        secureVipAddress=name,
        leaseInfo=eureka_basic.LeaseInfo(max(1, round(renewal)), max(3, round(renewal * 3))),
        homePageUrl=url,
        statusPageUrl=f"{url}actuator/info",
        healthCheckUrl=f"{url}actuator/health",
        overriddenstatus="UNKNOWN",
        metadata=_metadata(settings),
    )


def _metadata(settings: ServiceSettings) -> dict[str, str]:
    """What people and balancers may want to know of an instance."""
    told = {"version": settings.instance_version or settings.package_version, "zone": settings.instance_zone}
    return {name: value for name, value in told.items() if value}


class _KeptHttpClient(http_client.HttpClient):  # type: ignore[misc]  # py-eureka-client has no type hints
    """py-eureka-client's calls over one kept httpx client, in place of a new one (20 ms of CPU) for each call."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def urlopen(
        self, request: http_client.HttpRequest, data: bytes | None = None, timeout: float | None = None
    ) -> http_client.HttpResponse:
        answer = await self._client.request(request.method, request.url, headers=request.headers, content=data)
        answer.raise_for_status()
        return http_client.HttpResponse(answer)


def _reachable_host(settings: ServiceSettings) -> str:
    """The address others reach this instance at: the one it listens on, or this machine's where it listens on all."""
    if settings.host not in ("0.0.0.0", "::", ""):
        return settings.host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nothing is sent, the kernel only picks the outgoing address
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"

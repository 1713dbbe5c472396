"""Discovery: this instance in the registry while it is ready, and the instances of the others."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from prometheus_client import Gauge
from py_eureka_client import eureka_basic, http_client

from .settings import ServiceSettings

logger = logging.getLogger(__name__)

REGISTERED = Gauge("discovery_registered", "1 while this instance is registered as UP")
REGISTRY_AGE = Gauge("discovery_registry_age_seconds", "Time since the registry was last read")

_TIMEOUT_SECONDS = 3.0


class NoInstance(Exception):
    """No instance of the service is registered as UP."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance of a service, as the registry has it."""

    service: str
    instance_id: str
    host: str
    port: int
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at its end."""
        return f"http://{self.host}:{self.port}"


class Registry:
    """What discovery knows, read again every poll; the last answer stays good while discovery is away (promise D7)."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._url = f"{eureka_url(settings)}apps"
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._etag = ""
        self._read_at = float("-inf")
        self._fresh = asyncio.Event()

    def instances(self, service: str) -> tuple[Instance, ...]:
        """The instances of a service that are UP; none is an empty tuple. `service` is compared in lower case."""
        return self._instances.get(service.lower(), ())

    def services(self) -> tuple[str, ...]:
        """Names of all services with at least one instance UP, sorted."""
        return tuple(sorted(self._instances))

    async def wait_until_read(self, timeout_seconds: float = _TIMEOUT_SECONDS) -> bool:
        """Whether the registry has been read at least once, waiting for it a while."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._fresh.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Read the registry again and again; to be run as a supervised task."""
        async with internal_client(timeout_seconds=_TIMEOUT_SECONDS) as client:
            away = False
            while True:
                try:
                    await self._read(client)
                    away = False
                except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
                    if not away:
                        logger.warning("discovery can't be read, going on with what is known: %r", error)
                    away = True
                REGISTRY_AGE.set(time.monotonic() - self._read_at if self._fresh.is_set() else float("inf"))
                pause = self._settings.discovery_poll_seconds
                await asyncio.sleep(min(pause, 0.2) if not self._fresh.is_set() else pause)

    async def _read(self, client: httpx.AsyncClient) -> None:
        headers = {"Accept": "application/json"} | ({"If-None-Match": self._etag} if self._etag else {})
        answer = await client.get(self._url, headers=headers)
        if answer.status_code != 304:
            answer.raise_for_status()
            self._instances = _instances_of(answer.json())
            self._etag = answer.headers.get("etag", "")
        self._read_at = time.monotonic()
        self._fresh.set()


def _instances_of(document: dict[str, Any]) -> dict[str, tuple[Instance, ...]]:
    known: dict[str, list[Instance]] = {}
    for application in document["applications"]["application"]:
        for entry in application["instance"]:
            if entry["status"] != "UP":
                continue
            name = application["name"].lower()
            known.setdefault(name, []).append(
                Instance(
                    service=name,
                    instance_id=entry.get("instanceId") or entry["hostName"],
                    host=entry["ipAddr"],
                    port=int(entry["port"]["$"]),
                    # Eureka's JSON says of an empty map which Java class it is.
                    metadata={k: str(v) for k, v in entry.get("metadata", {}).items() if k != "@class"},
                )
            )
    return {name: tuple(sorted(found, key=lambda instance: instance.instance_id)) for name, found in known.items()}


class Registration:
    """Keeps this instance registered: UP while it says that it is ready, DOWN otherwise.

    The wire calls are py-eureka-client's; its own client class is not used: it renews from a thread with an event loop
    of its own, and makes a new HTTP client for each call.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._server = eureka_url(settings)
        self._instance = _describe(settings)
        self._self_check = f"{self._instance.homePageUrl}actuator/health/readiness"
        self._status = ""

    async def run(self) -> None:
        """Register once ready, then renew; to be run as a supervised task after the HTTP server has started."""
        async with internal_client(timeout_seconds=_TIMEOUT_SECONDS) as client:
            http_client.set_http_client(_KeptHttpClient(client))
            pause = 0.05
            while True:
                ready = await self._is_ready(client)
                try:
                    await self._tell("UP" if ready else "DOWN")
                    pause = self._settings.discovery_renewal_seconds if ready else 0.1
                except (httpx.HTTPError, URLError) as error:
                    self._forget()
                    logger.warning("discovery does not take the registration, trying again: %s", error)
                    pause = min(pause * 2, self._settings.discovery_renewal_seconds)
                await asyncio.sleep(pause)

    async def drain(self) -> None:
        """Tell discovery to send no more work here.

        With status DOWN rather than an OUT_OF_SERVICE override: an override would outlive a process that is killed
        while it drains, and keep its successor at the same address out of service.
        """
        await self._say_goodbye(self._register, "DOWN")

    async def leave(self) -> None:
        """Tell discovery that this instance is gone; if that fails the lease runs out by itself."""
        await self._say_goodbye(eureka_basic.cancel, self._server, self._instance.app, self._instance.instanceId)
        self._forget()

    async def _say_goodbye(self, call: Callable[..., Awaitable[None]], *arguments: str) -> None:
        if not self._status:
            return
        async with internal_client(timeout_seconds=1.0) as client:
            http_client.set_http_client(_KeptHttpClient(client))
            try:
                await call(*arguments)
            except (httpx.HTTPError, URLError) as error:
                logger.warning("discovery was not told that this instance stops: %s", error)

    async def _tell(self, status: str) -> None:
        if status == self._status == "UP":
            try:
                await eureka_basic.send_heartbeat(
                    self._server,
                    self._instance.app,
                    self._instance.instanceId,
                    self._instance.lastDirtyTimestamp,
                    status=status,
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code != 404:
                    raise
                await self._register(status)  # the registry was started anew and does not know this instance
        elif status == "UP" or self._status == "UP":  # before it is ready nobody needs to know of this instance
            await self._register(status)

    async def _register(self, status: str) -> None:
        self._instance.status = status
        self._instance.lastDirtyTimestamp = self._instance.lastUpdatedTimestamp = time.time_ns() // 1_000_000
        await eureka_basic.register(self._server, self._instance)
        logger.info("registered with discovery as %s", status)
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
    )


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


def internal_client(*, timeout_seconds: float) -> httpx.AsyncClient:
    """An HTTP client for plain-HTTP calls inside the fleet: no proxies, no certificate store, no redirects."""
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=timeout_seconds)  # noqa: S501 - no TLS is spoken


def eureka_url(settings: ServiceSettings) -> str:
    """The registry's base URL with this service's credential, and a slash at its end: `http://name:pw@host/eureka/`."""
    parts = urlsplit(settings.discovery_url)
    password = settings.service_password.get_secret_value()
    netloc = parts.netloc
    if password and "@" not in netloc:
        netloc = f"{quote(settings.service_name)}:{quote(password, safe='')}@{netloc}"
    path = parts.path.rstrip("/") or "/eureka"
    return urlunsplit((parts.scheme, netloc, f"{path}/", "", ""))


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


async def resolve(url: str, registry: Registry | None) -> str:
    """`lb://service/path` as the URL of one instance; any other URL as it is. Raises NoInstance."""
    if not url.startswith("lb://"):
        return url
    service, _, path = url.removeprefix("lb://").partition("/")
    if registry is None:
        raise NoInstance(f"{url} needs discovery, and DISCOVERY_URL is not set")
    await registry.wait_until_read()
    found = registry.instances(service)
    if not found:
        raise NoInstance(f"no instance of {service} is registered")
    return f"{found[time.monotonic_ns() % len(found)].url}/{path}"

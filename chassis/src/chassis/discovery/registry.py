"""The instances of all services, as discovery has them now: pushed where the server can, else asked for again."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Iterable

import httpx
from prometheus_client import Gauge

from chassis.settings import ServiceSettings

from .event_stream import MEDIA_TYPE, EventParser, StreamEvent
from .instances import Instance, read_applications, read_instance
from .servers import TIMEOUT_SECONDS, Servers, address_of, internal_client

logger = logging.getLogger(__name__)

REGISTRY_AGE = Gauge("discovery_registry_age_seconds", "Time since the registry was last read")

# The server says something every 15 s at least; a stream that is silent for longer than two of these is dead.
_SILENCE_SECONDS = 35.0
# How long a server is only polled after it had no stream: a real Eureka server, or ours with too many readers.
_WITHOUT_STREAM_SECONDS = 60.0
_WITHOUT_PLACE_SECONDS = 5.0
_NO_STREAM = frozenset({404, 405, 406, 501})

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_STEADY_SECONDS = 5.0

# No answer, or none that is understood.
_FAILURES = (httpx.HTTPError, TimeoutError, KeyError, TypeError, ValueError, AttributeError)


class NoInstance(Exception):
    """No instance of the service is registered as UP."""


class Registry:
    """What discovery knows. What was read last stays good while no discovery-server can be read (promise D7).

    A server that says that nobody at all is there has more likely been started anew than seen everybody leave: for
    `doubt_seconds` it is believed who is there and who says that it is not UP, not that the others are gone.
    """

    def __init__(self, settings: ServiceSettings, *, doubt_seconds: float = 30.0) -> None:
        self._settings = settings
        self._doubt_seconds = doubt_seconds
        self._servers = Servers.of(settings)
        self._known: dict[str, dict[str, Instance]] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._last_event_id = ""
        self._doubted_since: float | None = None
        self._read_at = float("-inf")
        self._was_read = asyncio.Event()

    def instances(self, service: str) -> tuple[Instance, ...]:
        """The instances of a service that are UP; none is an empty tuple. `service` is compared in lower case.

        The tuple is the same object until something about them may have changed.
        """
        return self._instances.get(service.lower(), ())

    def services(self) -> tuple[str, ...]:
        """Names of all services with at least one instance UP, sorted."""
        return tuple(sorted(self._instances))

    async def wait_until_read(self, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
        """Whether the registry has been read at least once, waiting for it a while."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._was_read.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Follow the registry for ever; to be run as a supervised task."""
        REGISTRY_AGE.set_function(lambda: time.monotonic() - self._read_at)
        pause = _FIRST_PAUSE_SECONDS
        is_away = False
        async with internal_client(timeout_seconds=TIMEOUT_SECONDS) as client:
            while True:
                began = time.monotonic()
                failures = []
                for server in self._servers.in_turn():
                    try:
                        await self._follow(client, server)
                    except _FAILURES as error:
                        failures.append(f"{address_of(server)}: {error!r}")
                        if not isinstance(error, httpx.HTTPError):
                            self._last_event_id = ""  # what was not understood is read anew, and whole
                    if self._read_at >= began:
                        break
                has_read = self._read_at >= began
                if not has_read and not is_away:
                    logger.warning("discovery can't be read, going on with what is known: %s", "; ".join(failures))
                elif has_read and failures:
                    logger.info("reading from discovery broke off and begins anew: %s", "; ".join(failures))
                is_away = not has_read
                lasted = has_read and self._read_at - began > _STEADY_SECONDS
                pause = _FIRST_PAUSE_SECONDS if lasted else min(pause * 2, self._longest_pause_seconds)
                # Who was cut off together does not come back in step.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing secret

    @property
    def _longest_pause_seconds(self) -> float:
        if not self._was_read.is_set():
            return 0.2
        return max(_FIRST_PAUSE_SECONDS, min(_LONGEST_PAUSE_SECONDS, self._settings.discovery_poll_seconds))

    # -- from one server

    async def _follow(self, client: httpx.AsyncClient, server: str) -> None:
        """Read from one server until it ends its stream. Raises one of _FAILURES when it can't be read."""
        while (status := await self._read_stream(client, server)) != 200:
            # Whether the server can't or won't stream, it may still be asked.
            await self._poll(
                client, server, _WITHOUT_STREAM_SECONDS if status in _NO_STREAM else _WITHOUT_PLACE_SECONDS
            )

    async def _read_stream(self, client: httpx.AsyncClient, server: str) -> int:
        """Read events until the server ends them; answers its status, other than 200 where it has no stream for us."""
        headers = {"Accept": MEDIA_TYPE, "Cache-Control": "no-store"}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        patience = httpx.Timeout(TIMEOUT_SECONDS, read=_SILENCE_SECONDS)
        request = client.build_request("GET", f"{server}stream", headers=headers, timeout=patience)
        async with asyncio.timeout(TIMEOUT_SECONDS):  # for the head alone
            answer = await client.send(request, stream=True)
        try:
            if answer.status_code != 200:
                return answer.status_code
            if not answer.headers.get("content-type", "").startswith(MEDIA_TYPE):
                return 404
            parser = EventParser(self._last_event_id)
            async for chunk in answer.aiter_bytes():
                for event in parser.feed(chunk):
                    self._take(event)
                self._last_event_id = parser.last_id
                if self._was_read.is_set():
                    self._note_read(server)
                if self._doubts_end():
                    self._last_event_id = ""  # to be told everything once more
                    break
        finally:
            await answer.aclose()
        return 200

    def _take(self, event: StreamEvent) -> None:
        if event.type == "registry":
            self._replace(read_applications(json.loads(event.data)))
            self._was_read.set()
        elif event.type == "change":
            change = json.loads(event.data)
            service, instance_id, instance = read_instance(change["instance"], change["instance"]["app"])
            self._set(service, instance_id, None if change["action"] == "DELETED" else instance)

    async def _poll(self, client: httpx.AsyncClient, server: str, seconds: float) -> None:
        """Ask again and again, for a while. Raises one of _FAILURES when the server can't be read."""
        etag = ""
        until = time.monotonic() + seconds
        self._last_event_id = ""
        while True:
            headers = {"Accept": "application/json"} | ({"If-None-Match": etag} if etag else {})
            answer = await client.get(f"{server}apps", headers=headers)
            if answer.status_code != 304:
                answer.raise_for_status()
                self._replace(read_applications(answer.json()))
                # What is doubted is wanted again.
                etag = "" if self._doubted_since is not None else answer.headers.get("etag", "")
            self._was_read.set()
            self._note_read(server)
            if time.monotonic() > until:
                return
            await asyncio.sleep(self._settings.discovery_poll_seconds)

    def _note_read(self, server: str) -> None:
        self._read_at = time.monotonic()
        self._servers.prefer(server)

    # -- what is known

    def _replace(self, entries: Iterable[tuple[str, str, Instance | None]]) -> None:
        """Know these and, unless they are doubted, no others."""
        listed = list(entries)
        if not listed and self._known and self._doubted_since is None:
            logger.warning("discovery says that nobody is there; going on with who is known for a while")
            self._doubted_since = time.monotonic()
        if self._doubted_since is not None and not self._doubts_end():
            for entry in listed:
                self._set(*entry)
            return
        self._doubted_since = None
        known: dict[str, dict[str, Instance]] = {}
        for service, instance_id, instance in listed:
            if instance is not None:
                known.setdefault(service, {})[instance_id] = instance
        self._known = known
        self._instances = {service: _sorted(found) for service, found in known.items()}

    def _doubts_end(self) -> bool:
        return self._doubted_since is not None and time.monotonic() - self._doubted_since > self._doubt_seconds

    def _set(self, service: str, instance_id: str, instance: Instance | None) -> None:
        found = self._known.get(service, {})
        if instance is not None:
            found[instance_id] = instance
        elif found.pop(instance_id, None) is None:
            return
        if found:
            self._known[service], self._instances[service] = found, _sorted(found)
        else:
            del self._known[service], self._instances[service]


def _sorted(found: dict[str, Instance]) -> tuple[Instance, ...]:
    return tuple(found[instance_id] for instance_id in sorted(found))


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

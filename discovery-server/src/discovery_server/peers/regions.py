"""What is registered in other regions: a copy of each registry, looked up again and again, the last good one kept."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import httpx
from chassis.supervisor import Supervisor

from discovery_server.errors import Unreadable
from discovery_server.registry.clock import Clock
from discovery_server.registry.instance import Action, Instance
from discovery_server.wire import json_codec

from .address import PeerAddress

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0
_LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

_Name = tuple[str, str]


@dataclass(slots=True)
class _Change:
    at: float  # of the steady clock
    instance: Instance


class Regions:
    """The other regions. They only ever add to what readers get who ask for them by name."""

    def __init__(
        self,
        addresses: Mapping[str, PeerAddress],
        *,
        interval_seconds: float,
        delta_retention_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self._copies = {
            name: RegionCopy(name, delta_retention_seconds=delta_retention_seconds, clock=clock) for name in addresses
        }
        self._addresses = addresses
        self._interval_seconds = interval_seconds

    @property
    def names(self) -> Collection[str]:
        return self._copies.keys()

    @property
    def version(self) -> int:
        """Grows with each change that a reader could see."""
        return sum(copy.version for copy in self._copies.values())

    def start(self, supervisor: Supervisor) -> None:
        """Follow each region in a task of its own."""
        for name, address in self._addresses.items():
            supervisor.start(f"region {name}", partial(self._follow, self._copies[name], address))

    def applications(self, regions: Iterable[str]) -> dict[str, list[Instance]]:
        """The instances of these regions by application; of a region that nobody knows there are none."""
        return _by_application(instance for copy in self._named(regions) for instance in copy.instances())

    def changes(self, regions: Iterable[str]) -> dict[str, list[Instance]]:
        """What changed there lately, by application."""
        return _by_application(instance for copy in self._named(regions) for instance in copy.changes())

    def _named(self, regions: Iterable[str]) -> Iterator["RegionCopy"]:
        return (copy for name in regions if (copy := self._copies.get(name)) is not None)

    async def _follow(self, copy: "RegionCopy", address: PeerAddress) -> None:
        async with httpx.AsyncClient(
            base_url=address.url,
            auth=address.credential,
            # Certificates are only loaded (20 ms) where TLS is spoken.
            verify=address.url.startswith("https"),
            trust_env=False,
            timeout=_TIMEOUT_SECONDS,
            headers={"Accept": json_codec.MEDIA_TYPE},
        ) as client:
            tag, is_away = "", False
            while True:
                try:
                    tag, listed = await _look(client, tag)
                except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, Unreadable) as error:
                    if not is_away:
                        logger.warning(
                            "the region %s can't be read, what was there last is kept: %s",
                            copy.name,
                            error or "timeout",
                        )
                    is_away = True
                else:
                    if is_away:
                        logger.info("the region %s can be read again", copy.name)
                    is_away = False
                    if listed is not None:
                        copy.take(listed)
                copy.forget_old_changes()
                await asyncio.sleep(self._interval_seconds)


class RegionCopy:
    """What one region's registry answered last, and how that differed from what it said before."""

    def __init__(self, name: str, *, delta_retention_seconds: float, clock: Clock) -> None:
        self.name = name
        self.version = 0
        self._delta_retention_seconds = delta_retention_seconds
        self._clock = clock
        self._instances: dict[_Name, Instance] = {}
        self._changes: dict[_Name, _Change] = {}  # the oldest first

    def instances(self) -> list[Instance]:
        return list(self._instances.values())

    def changes(self) -> list[Instance]:
        return [change.instance for change in self._changes.values()]

    def take(self, listed: Iterable[Instance]) -> None:
        """The answer of a look: all that there is."""
        before = self._instances
        self._instances = {(instance.app, instance.key): instance for instance in listed}
        for name, instance in self._instances.items():
            known = before.get(name)
            if known is None or _content(known) != _content(instance):
                self._changed(name, replace(instance, action=Action.ADDED if known is None else Action.MODIFIED))
        for name, instance in before.items():
            if name not in self._instances:
                self._changed(name, replace(instance, action=Action.DELETED))

    def forget_old_changes(self) -> None:
        """Changes that deltas no longer tell."""
        oldest = self._clock.monotonic_seconds() - self._delta_retention_seconds
        old = [name for name, change in self._changes.items() if change.at < oldest]
        for name in old:
            del self._changes[name]
        self.version += bool(old)

    def _changed(self, name: _Name, instance: Instance) -> None:
        self._changes.pop(name, None)  # to the end
        self._changes[name] = _Change(self._clock.monotonic_seconds(), instance)
        self.version += 1


def _content(instance: Instance) -> Instance:
    """Without the stamp of its last renewal, which Eureka's lists tell, and which is no change."""
    return replace(instance, lease=replace(instance.lease, renewed_ms=0))


def _by_application(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(instance.app, []).append(instance)
    return found


async def _look(client: httpx.AsyncClient, tag: str) -> tuple[str, list[Instance] | None]:
    """The tag of what is there and the instances, or None where they are those of `tag`.

    Raises Unreadable, TimeoutError, or one of httpx' errors.
    """
    headers = {"If-None-Match": tag} if tag else {}
    # httpx limits each read; what comes in drops is limited here.
    async with asyncio.timeout(_TIMEOUT_SECONDS), client.stream("GET", "apps", headers=headers) as answer:
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return tag, None
        answer.raise_for_status()
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise Unreadable(f"its list is longer than {_LARGEST_ANSWER_BYTES} bytes")
    return answer.headers.get("etag", ""), json_codec.read_applications(bytes(body))

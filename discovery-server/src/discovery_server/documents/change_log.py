"""The latest change of each instance, for a while: what a reader that has come to some version has yet to hear."""

import asyncio
import json
from dataclasses import dataclass

from discovery_server.registry.leases import Event
from discovery_server.registry.registry import Registry
from discovery_server.wire import json_codec


@dataclass(slots=True)
class Change:
    """What became of an instance; written once, for all readers, when the first of them asks for it."""

    event: Event
    at: float  # of the steady clock
    _written: bytes = b""

    def written(self) -> bytes:
        """`{"version", "action", "why", "instance"}` as JSON."""
        if not self._written:
            instance = self.event.instance
            self._written = b'{"version":%d,"action":"%b","why":%b,"instance":%b}' % (
                self.event.version,
                instance.action.encode("ascii"),
                json.dumps(self.event.why).encode("ascii"),
                json_codec.write_fragment(instance),
            )
        return self._written


class ChangeLog:
    """Listens to a registry. So a reader costs no memory, however slow it is: it is a version and nothing else.

    An instance that changed several times after that version is told of once, as it is now. What is kept is bounded by
    the registry's size and by what left it within the retention.
    """

    def __init__(self, registry: Registry, *, retention_seconds: float) -> None:
        self._registry = registry
        self._retention_seconds = retention_seconds
        self._changes: dict[tuple[str, str], Change] = {}  # by application and key, the latest last
        self._forgotten_version = registry.version
        self.news = asyncio.Event()
        """Set at the next change; there is a new one for the change after that."""
        registry.listen(self._hear)

    def knows_what_followed(self, version: int) -> bool:
        """Whether `after` has everything that changed after this version."""
        self._forget()
        return self._forgotten_version <= version <= self._registry.version

    def after(self, version: int) -> list[Change]:
        """What changed after this version, the oldest last."""
        newer = []
        for change in reversed(self._changes.values()):
            if change.event.version <= version:
                break
            newer.append(change)
        return newer

    def _hear(self, event: Event) -> None:
        name = (event.instance.app, event.instance.key)
        self._changes.pop(name, None)  # to the end
        self._changes[name] = Change(event, self._registry.clock.monotonic_seconds())
        self._forget()
        news, self.news = self.news, asyncio.Event()
        news.set()

    def _forget(self) -> None:
        oldest = self._registry.clock.monotonic_seconds() - self._retention_seconds
        forgotten = []
        for name, change in self._changes.items():
            if change.at >= oldest:
                break
            forgotten.append(name)
            self._forgotten_version = change.event.version
        for name in forgotten:
            del self._changes[name]

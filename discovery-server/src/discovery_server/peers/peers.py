"""The other servers of a full mesh: what a client does here all of them hear, and nobody passes it on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from chassis.supervisor import Supervisor

from discovery_server.registry.leases import Event, Name
from discovery_server.registry.registry import Registry

from .address import PeerAddress
from .peer import Peer, PeerView, renewals_pause_seconds

__all__ = ["PeerView", "Peers"]

_LAST_WORDS_SECONDS = 1.0


class Peers:
    """All of them, each with a task of its own."""

    def __init__(self, registry: Registry, addresses: Sequence[PeerAddress], *, interval_seconds: float) -> None:
        self._peers = [Peer(address, registry, interval_seconds=interval_seconds) for address in addresses]
        self._renewals_seconds = renewals_pause_seconds(interval_seconds)
        self._heard: set[Name] = set()
        if self._peers:
            registry.listen(self._on_event)
            registry.on_renewal.append(self._on_renewal)

    def start(self, supervisor: Supervisor) -> None:
        """Run a supervised task for each peer."""
        for peer in self._peers:
            supervisor.start(f"peer {peer.address.name}", peer.run)
        if self._peers:
            supervisor.start("peers' renewals", self._pass_renewals_on)

    async def first_sync(self) -> None:
        """Wait until one peer has told everything that it knows, and knew everything itself.

        Returns at once where there is no peer but this server itself; waits for ever while none is there.
        """
        others = [asyncio.ensure_future(peer.was_heard.wait()) for peer in self._peers]
        try:
            while others:
                await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
                if any(peer.was_heard.is_set() and not peer.is_myself for peer in self._peers):
                    return
                others = [waiter for waiter in others if not waiter.done()]
        finally:
            for waiter in others:
                waiter.cancel()

    async def tell_the_last(self) -> None:
        """Before the end: wait until each peer that is there has heard of all changes, for a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await asyncio.gather(*(peer.tell_the_last() for peer in self._peers))

    def views(self) -> list[PeerView]:
        """How it stands with each."""
        return [peer.view() for peer in self._peers if not peer.is_myself]

    def _on_event(self, event: Event) -> None:
        if event.local:
            for peer in self._peers:
                peer.note_change((event.instance.app, event.instance.key))

    def _on_renewal(self, app: str, key: str) -> None:
        self._heard.add((app, key))

    async def _pass_renewals_on(self) -> None:
        while True:
            await asyncio.sleep(self._renewals_seconds)
            heard, self._heard = self._heard, set()
            if heard:
                for peer in self._peers:
                    peer.note_renewals(heard)

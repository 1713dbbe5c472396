"""Whether reads may be answered yet: after a start not before anything is known, or an empty list would be believed."""

import asyncio
import logging

from discovery_server.peers.peers import Peers
from discovery_server.registry.clock import Clock

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1


class WarmUp:
    """Open from the start for a server without peers: whom it does not know nobody knows (promise D6)."""

    def __init__(self, clock: Clock, *, has_peers: bool, limit_seconds: float) -> None:
        self._clock = clock
        self._limit_seconds = limit_seconds
        self._started_at = clock.monotonic_seconds()
        self._done = not has_peers

    def finish(self) -> None:
        """Reads may be answered from now on."""
        self._done = True

    async def wait_for(self, peers: Peers) -> None:
        """Finish once a peer that knew everything was heard, or all were: at a first start nobody knows more."""
        heard = asyncio.ensure_future(peers.first_sync())
        try:
            while not heard.done() and not all(peer.reachable for peer in peers.views()):
                await asyncio.wait([heard], timeout=_PAUSE_SECONDS)
        finally:
            heard.cancel()
        self.finish()

    def may_read(self) -> str | None:
        """What reads wait for; None: they may be answered."""
        if self._done:
            return None
        if self._clock.monotonic_seconds() - self._started_at > self._limit_seconds:
            logger.warning(
                "no peer has answered for %g s after the start: readers get what has registered here since",
                self._limit_seconds,
            )
            self._done = True
            return None
        return f"nothing is known yet: no peer has answered, for {self._limit_seconds:g} s at most"

    async def check(self) -> str | None:
        """The same as a health check."""
        return self.may_read()

"""Time as the registry needs it: a steady clock, the wall's, and an order of events among servers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks: one that nobody can set, and the wall's."""

    monotonic_seconds: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Stamp(NamedTuple):
    """When something happened, for an order that all servers agree on; `server` decides between equal times."""

    ms: int
    server: str


class Stamps:
    """A hybrid logical clock (Kulkarni et al., 2014): follows the wall, yet never goes back nor behind what was seen.

    So what a server does after it has heard of something is later than that, however wrong its clock is.
    """

    def __init__(self, clock: Clock, server: str) -> None:
        self._clock = clock
        self._server = server
        self._last_ms = 0

    def next(self) -> Stamp:
        """A stamp later than all before, and than all seen."""
        self._last_ms = max(self._clock.wall_ms(), self._last_ms + 1)
        return Stamp(self._last_ms, self._server)

    def saw(self, stamp: Stamp) -> None:
        """Another server's stamp: from now on ours are later."""
        self._last_ms = max(self._last_ms, stamp.ms)

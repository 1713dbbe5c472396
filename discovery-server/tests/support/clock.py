"""A clock that goes on when it is told to."""

from discovery_server.registry.clock import Clock

WALL_AT_START_MS = 1_800_000_000_000


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall_jump_ms = 0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def wall_ms(self) -> int:
        return WALL_AT_START_MS + round(self.seconds * 1000) + self.wall_jump_ms

    @property
    def clock(self) -> Clock:
        """What the registry is given."""
        return Clock(monotonic_seconds=lambda: self.seconds, wall_ms=lambda: self.wall_ms)

"""Who has just come up gets few requests at first, and soon more, where its metadata asks for it: caches are cold."""

import math
import random
import time
from typing import TypeVar

from chassis.discovery import Instance

_METADATA_KEY = "slow-start-seconds"
_LEAST_SHARE = 0.1

T = TypeVar("T")


class SlowStarts:
    """Knows who is warming up; most of the time that is nobody. `now` is of a steady clock, in seconds."""

    def __init__(self) -> None:
        self.warming: dict[object, tuple[float, float]] = {}
        """Since when, and for how many seconds."""

    def begin(self, newcomer: object, instance: Instance, now: float) -> None:
        """Note what an instance asks for, if it does and if it has not been up for long enough."""
        seconds = _seconds_wanted(instance)
        # The clock of discovery may differ from this one: the more, the shorter or longer is its slow start.
        age_seconds = max(0.0, time.time() - instance.up_since_ms / 1000) if instance.up_since_ms else 0.0
        if age_seconds < seconds:
            self.warming[newcomer] = (now - age_seconds, seconds)

    def forget(self, gone: object) -> None:
        self.warming.pop(gone, None)

    def draw(self, members: list[T], now: float) -> list[T]:
        """Who takes part in one choice: each as likely as its share is large; all, where nobody would."""
        # Not for secrets, so the generator may be a plain one.
        drawn = [member for member in members if random.random() < self._share(member, now)]  # noqa: S311
        return drawn or members

    def _share(self, member: object, now: float) -> float:
        """From a tenth to 1: a part of what the others get."""
        if member not in self.warming:
            return 1.0
        since, seconds = self.warming[member]
        share = (now - since) / seconds
        if share >= 1.0:
            del self.warming[member]
        return max(_LEAST_SHARE, share)


def _seconds_wanted(instance: Instance) -> float:
    try:
        seconds = float(instance.metadata.get(_METADATA_KEY, "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0

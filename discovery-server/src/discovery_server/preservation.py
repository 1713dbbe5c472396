"""When a silence is taken for a broken network rather than for dead instances. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

# An instance is silent once its renewal is half an interval late, and in any case after half of its lease: well before
# the lease runs out, or the first to expire would be evicted before the others count.
_SILENT_AFTER_INTERVALS = 1.5
_SILENT_AFTER_LEASES = 0.5


@dataclass(frozen=True, slots=True)
class PreservationRules:
    enabled: bool = True
    minimum: int = 10
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Pulse:
    """One instance's sign of life."""

    app: str
    silent_seconds: float
    renewal_interval_seconds: float
    duration_seconds: float

    @property
    def is_silent(self) -> bool:
        """Whether a renewal is overdue, though the lease may still hold."""
        return self.silent_seconds > min(
            _SILENT_AFTER_INTERVALS * self.renewal_interval_seconds, _SILENT_AFTER_LEASES * self.duration_seconds
        )


def is_network_silence(pulses: Iterable[Pulse], rules: PreservationRules) -> bool:
    """Whether so many fell silent together that evicting them would do more harm than keeping them.

    True when the registry has a minimum size, more than `share` of its instances are silent, and they belong to more
    than one application: one application that dies, however large, is believed (promise D3).
    """
    everyone = list(pulses)
    silent = [pulse for pulse in everyone if pulse.is_silent]
    return (
        rules.enabled
        and len(everyone) >= rules.minimum
        and len(silent) > rules.share * len(everyone)
        and len({pulse.app for pulse in silent}) > 1
    )

"""What servers tell each other of one instance, and a snapshot keeps: merged in any order, it comes out the same."""

from dataclasses import dataclass
from typing import NamedTuple

from .clock import Stamp
from .instance import Instance, Status

# An instance that says it serves can be overridden; one that says that it doesn't is believed.
SERVING = frozenset({Status.UP, Status.OUT_OF_SERVICE})


class Version(NamedTuple):
    """Decides between two records of one instance: the client's stamp first, as in Eureka, then ours.

    `dirty_ms` is the client's `lastDirtyTimestamp`, or that of a record it followed if that was greater: a client whose
    clock was set back and that registers anew must not lose against its own past.
    """

    dirty_ms: int
    stamp: Stamp


NOTHING = Version(0, Stamp(0, ""))  # older than every record


@dataclass(frozen=True, slots=True)
class Override:
    """A status given by an operator; of two the one with the later stamp counts, whatever becomes of the record."""

    status: Status | None  # None: it was removed
    stamp: Stamp
    buried: bool = False  # its instance was evicted here: it is over, unless a peer knows the instance to live

    def applies_to(self, version: Version) -> bool:
        """Whether a record of that version is overridden: a registration after the burial begins anew."""
        return self.status is not None and not (self.buried and self.stamp < version.stamp)


@dataclass(frozen=True, slots=True)
class State:
    """All that a server knows of one instance."""

    app: str
    key: str
    version: Version  # of the record, or of the cancellation where there is no instance; NOTHING if there is neither
    instance: Instance | None  # None: it left
    own_status: Status  # what it would be without an override
    owner: str | None  # the principal that registered it; None: anybody
    silent_seconds: float  # the age of the lease: clocks of servers differ, durations don't
    override: Override | None


def shown_status(own: Status, override: Override | None) -> Status:
    """The status that readers see: an instance that says that it doesn't serve is believed, else an override wins."""
    if own in SERVING and override is not None and override.status is not None:
        return override.status
    return own

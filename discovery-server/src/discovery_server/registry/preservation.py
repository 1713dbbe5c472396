"""When a silence is taken for a broken network rather than for dead instances. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# An instance is silent once its renewal is half an interval late, and in any case after half of its lease: well before
# the lease runs out, or the first to expire would be evicted before the others count.
_SILENT_AFTER_INTERVALS = 1.5
_SILENT_AFTER_LEASES = 0.5


@dataclass(frozen=True, slots=True)
class PreservationRules:
    enabled: bool = True
    minimum: int = 10
    share: float = 0.5
    limit_seconds: float = 600.0  # how long an application's instances are kept after their lease, at most


class Pulse(NamedTuple):
    """One instance's sign of life."""

    app: str
    key: str
    silent_seconds: float
    renewal_interval_seconds: float
    duration_seconds: float  # after so much silence its lease runs out

    @property
    def is_silent(self) -> bool:
        """Whether a renewal is overdue, though the lease may still hold."""
        return self.silent_seconds > min(
            _SILENT_AFTER_INTERVALS * self.renewal_interval_seconds, _SILENT_AFTER_LEASES * self.duration_seconds
        )

    @property
    def overrun_seconds(self) -> float:
        """How long ago the lease ran out; negative while it holds."""
        return self.silent_seconds - self.duration_seconds

    @property
    def period_seconds(self) -> float:
        """The time in which it renews once: its interval, unless what it told of that can't be true."""
        if self.renewal_interval_seconds < self.duration_seconds:
            return self.renewal_interval_seconds
        return self.duration_seconds / 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of the silent instances of one application."""

    size: int  # of the application
    silent: tuple[Pulse, ...]  # the longest silence first
    kept: frozenset[str]  # keys of those among them that stay when their lease runs out, or has
    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of those whose lease ran out."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # by application; where somebody is silent
    network: str | None = None  # why everybody's are kept, while they are

    @property
    def keeps(self) -> Mapping[str, str]:
        """Why, for each application of which anything is kept."""
        return {app: verdict.why for app, verdict in self.verdicts.items() if verdict.kept}

    def why_kept(self, app: str, key: str) -> str | None:
        """Why this instance stays though its lease ran out; None: it is believed to be dead."""
        verdict = self.verdicts.get(app)
        return verdict.why if verdict and key in verdict.kept else None


def judge(pulses: Iterable[Pulse], rules: PreservationRules) -> Judgement:
    """Whose silence is the network's, so that evicting them would do more harm than keeping them.

    Everybody's is, when the registry has the smallest size, more than `share` of its instances are silent, and they
    belong to more than one application (promise D3). Within an application of that size it is when more than `share`
    of the instances, but not all, went silent at once, each for `limit_seconds` after its lease: their neighbours
    renew, so the server hears and the application lives. One application that dies whole, however large, is believed.
    """
    sizes: dict[str, int] = {}
    silent: dict[str, list[Pulse]] = {}
    for pulse in pulses:
        sizes[pulse.app] = sizes.get(pulse.app, 0) + 1
        if pulse.is_silent:
            silent.setdefault(pulse.app, []).append(pulse)
    for group in silent.values():
        group.sort(key=lambda pulse: -pulse.silent_seconds)
    network = _network_silence(sizes, silent, rules)
    return Judgement({app: _verdict(sizes[app], group, rules, network) for app, group in silent.items()}, network)


def _network_silence(
    sizes: Mapping[str, int], silent: Mapping[str, Sequence[Pulse]], rules: PreservationRules
) -> str | None:
    size, number = sum(sizes.values()), sum(map(len, silent.values()))
    if not rules.enabled or size < rules.minimum or number <= rules.share * size or len(silent) < 2:
        return None
    return (
        f"{number} of all {size} instances, of {len(silent)} applications, are silent: more than {rules.share:.0%}, "
        "as when a network breaks. They are kept until they renew, or are not so many any more"
    )


def _verdict(size: int, silent: Sequence[Pulse], rules: PreservationRules, network: str | None) -> Verdict:
    def believed(why: str) -> Verdict:
        return Verdict(size, tuple(silent), frozenset(), why)

    def kept(pulses: Iterable[Pulse], why: str) -> Verdict:
        return Verdict(size, tuple(silent), frozenset(pulse.key for pulse in pulses), why)

    if not rules.enabled:
        return believed("self-preservation is switched off")
    if network:
        return kept(silent, network)
    if len(silent) == size:
        return believed(f"all its {size} instances are silent: an application that dies whole is believed to be dead")
    if size < rules.minimum:
        return believed(f"it has {size} instances: below {rules.minimum} nothing is preserved")
    if len(silent) <= rules.share * size:
        return believed(f"{len(silent)} of its {size} instances are silent: no more than {rules.share:.0%}")
    spread_seconds = max(pulse.period_seconds for pulse in silent)
    recent = [pulse for pulse in silent if pulse.overrun_seconds <= rules.limit_seconds]
    together = _largest_event(recent, spread_seconds)
    if len(together) > rules.share * size:
        return kept(
            together,
            f"{len(together)} of its {size} instances went silent within {spread_seconds:g} s of each other and the "
            f"others renew, as when part of a network breaks. They are kept until they renew, or are not so many any "
            f"more, and for {rules.limit_seconds:g} s after their lease at most",
        )
    if len(recent) < len(silent):
        return believed(f"some were kept for {rules.limit_seconds:g} s after their lease, which is the limit")
    return believed(
        f"{len(silent)} of its {size} instances are silent, but only {len(together)} of them fell silent within "
        f"{spread_seconds:g} s of each other: one after the other they are believed to be dead"
    )


def _largest_event(silent: Sequence[Pulse], spread_seconds: float) -> Sequence[Pulse]:
    """The most instances whose silences began within this time of each other; `silent` has the longest first."""
    first, best = 0, silent[:0]
    for last, pulse in enumerate(silent):
        while silent[first].silent_seconds - pulse.silent_seconds > spread_seconds:
            first += 1
        if last + 1 - first > len(best):
            best = silent[first : last + 1]
    return best

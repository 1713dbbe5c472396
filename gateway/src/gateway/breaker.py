"""Stops calling what keeps failing: a breaker for each instance, and a budget for retries."""

from .settings import Settings

_LONGEST_PAUSE_SECONDS = 30.0


class Breaker:
    """Closed while calls succeed; open for a pause after too many failures in a row; then one probe decides."""

    __slots__ = ("_failures", "_open_until", "_pause_seconds", "_probing", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures = 0
        self._pause_seconds = 0.0
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def awaits_probe(self, now: float) -> bool:
        """Whether it is open, its pause is over, and no call is out yet to find out."""
        return self._open_until is not None and not self._probing and now >= self._open_until

    def begin_probe(self) -> None:
        self._probing = True

    def end_probe(self) -> None:
        """The probe ended without telling anything, as its client went away: another may be sent."""
        self._probing = False

    def succeeded(self) -> None:
        self._failures = 0
        if self._open_until is not None:
            self._open_until = None
            self._pause_seconds = 0.0
            self._probing = False

    def failed(self, now: float, *, nobody_there: bool = False) -> None:
        """Count a failure; `nobody_there` (the connection is refused) opens at once."""
        self._failures += 1
        was_probe, self._probing = self._probing, False
        if self._open_until is not None and not was_probe:
            return  # a call that was already out when it opened
        if was_probe or nobody_there or self._failures >= self._settings.breaker_failures:
            doubled = self._pause_seconds * 2 or self._settings.breaker_pause_seconds
            self._pause_seconds = min(doubled, _LONGEST_PAUSE_SECONDS)
            self._open_until = now + self._pause_seconds


class RetryBudget:
    """Lets retries be a share of the requests, so that a struggling service is not hit twice as hard (G4)."""

    _SHARE = 0.2
    _MOST = 10.0

    def __init__(self) -> None:
        self._left = self._MOST

    def earn(self) -> None:
        """A request came in."""
        if self._left < self._MOST:
            self._left += self._SHARE

    def spend(self) -> bool:
        """Whether one more retry may be made; if so, it counts."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

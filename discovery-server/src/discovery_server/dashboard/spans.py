"""Lengths of time and moments, as people read them; dashboard.js counts on in the same words."""

from datetime import UTC, datetime

_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"))


def span(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h 12 min`, `2 d 5 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    for unit, name, part, part_name in _UNITS:
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{whole // 60} min"


def moment(ms: int) -> datetime:
    """A time stamp in milliseconds; one that no calendar has is shown as the first or the last day."""
    return datetime.fromtimestamp(min(max(ms, 0), 253_402_300_799_000) / 1000, UTC)

"""What came of a load: how it was answered, and what an answer took from the server's processors."""

from dataclasses import dataclass

from .load import Load, percentile, run
from .processes import Server


@dataclass(frozen=True)
class Outcome:
    """How requests were answered, and what one of them took from the server's processors."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    processor_us: float
    client_processor: float = 0.0
    """Seconds of processor time used by the clients in a second: near 1, they are what was measured."""


def outcome_of(load: Load, server: Server, faults: list[str]) -> Outcome:
    """Run a load; answers that were not the right ones are added to `faults`. Raises LoadFailed."""
    used = server.processor_seconds()
    heard = run(load)
    used = server.processor_seconds() - used
    faults += heard.faults
    return Outcome(
        len(heard.latencies_ns) / heard.seconds,
        percentile(heard.latencies_ns, 0.5) / 1e6,
        percentile(heard.latencies_ns, 0.99) / 1e6,
        used / heard.all_answers * 1e6,
        heard.client_processor_seconds / heard.seconds,
    )

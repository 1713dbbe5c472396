"""The figures as Markdown, ready for the README: medians of the rounds, and their spread where there are several."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from chassis.testing.bench.load import percentile
from chassis.testing.bench.outcome import Outcome
from chassis.testing.bench.tables import spread, table

from .fleet import APPLICATIONS, INSTANCES
from .measures import CONNECTIONS, Effort, Round
from .mortal import DURATION_SECONDS
from .servers import OURS, SERVERS_PROCESSOR

Rounds = Mapping[str, Sequence[Round]]


def report(rounds: Rounds, effort: Effort, command: str, load_average: float) -> str:
    """Load average: of the minute before, to tell whether the machine was quiet."""
    parts = [
        _circumstances(rounds, effort, command, load_average),
        _changes(rounds),
        _fetches(rounds),
        _others(rounds),
        _wanted(rounds[OURS]),
    ]
    return "\n\n".join(parts)


def _circumstances(rounds: Rounds, effort: Effort, command: str, load_average: float) -> str:
    ours = rounds[OURS]
    how = f"median (lowest – highest) of {len(ours)} rounds" if len(ours) > 1 else "one round"
    where = "the server has one of them, its clients the other" if SERVERS_PROCESSOR is not None else "shared by all"
    client = max(life.renewals.client_processor for life in ours if life.renewals)
    return (
        f"`{command}`, {datetime.now(UTC).date()}, {os.cpu_count()} processors ({where}; load average before: "
        f"{load_average:.1f}), Python {platform.python_version()}, {how}. {INSTANCES:,} instances in {APPLICATIONS} "
        f"applications; ours checks a credential with each request, Spring's knows none. Renewals: {CONNECTIONS} "
        f"connections for {effort.seconds:g} s, by clients that used {client:.0%} of a processor at the most. "
        f"Fetches: one after the other, {effort.fetches} of each. The delta tells of {effort.changes} changes."
    )


def _changes(rounds: Rounds) -> str:
    kinds: list[tuple[str, Callable[[Round], Outcome | None]]] = [
        ("renew", lambda life: life.renewals),
        ("register", lambda life: life.registrations),
    ]
    rows = []
    for what, outcome in kinds:
        for name, lives in rounds.items():
            outcomes = [found for life in lives if (found := outcome(life)) is not None]
            rows.append(
                [
                    what,
                    name,
                    spread([found.requests_per_second for found in outcomes], "{:,.0f}"),
                    spread([found.p50_ms for found in outcomes], "{:.1f} ms"),
                    spread([found.p99_ms for found in outcomes], "{:.1f} ms"),
                    spread([found.processor_us for found in outcomes], "{:.0f} µs"),
                ]
            )
    return table(["request", "server", "a second", "p50", "p99", "processor time each"], rows)


def _fetches(rounds: Rounds) -> str:
    rows = []
    for path, form in rounds[OURS][0].fetches:
        for name, lives in rounds.items():
            found = [life.fetches[path, form] for life in lives]
            rows.append(
                [
                    f"`{path.removeprefix('/eureka/')}`, {form}",
                    name,
                    f"{found[0].document_bytes:,}",
                    spread([percentile(each.latencies_ms, 0.5) for each in found], "{:.1f} ms"),
                    spread([percentile(each.latencies_ms, 0.99) for each in found], "{:.1f} ms"),
                    spread([each.processor_ms for each in found], "{:.1f} ms"),
                ]
            )
    return table(["document", "server", "bytes", "p50", "p99", "processor time each"], rows)


def _others(rounds: Rounds) -> str:
    kinds: list[tuple[str, Callable[[Round], Sequence[float]], str]] = [
        ("start, to the first answer", lambda life: [life.start_seconds], "{:.2f} s"),
        ("memory after the start (PSS)", lambda life: [life.at_rest_bytes / 1e6], "{:.0f} MB"),
        (f"memory with {INSTANCES:,} instances", lambda life: [life.filled_bytes / 1e6], "{:.0f} MB"),
        ("memory after all of the above", lambda life: [life.at_end_bytes / 1e6], "{:.0f} MB"),
        (
            f"`kill -9` of an instance with a lease of {DURATION_SECONDS} s, to gone",
            lambda life: [life.killed_seconds],
            "{:.1f} s",
        ),
        ("register, to seen in `apps/{APP}`", lambda life: _middle(life.seen_in_list_seconds), "{:.3f} s"),
        ("register, to seen by a reader of the stream", lambda life: _middle(life.seen_in_stream_seconds), "{:.4f} s"),
    ]
    rows = []
    for what, figures, form in kinds:
        row = [what]
        for lives in rounds.values():
            found = [figure for life in lives for figure in figures(life)]
            row.append(spread(found, form) if found else "–")
        rows.append(row)
    return table(["", *rounds], rows)


def _middle(values: Sequence[float]) -> list[float]:
    return [median(values)] if values else []


def _wanted(lives: Sequence[Round]) -> str:
    """The issue's figures against what was measured."""
    renewals = median(life.renewals.requests_per_second for life in lives if life.renewals)

    def slowest(path: str, *, gzipped: bool) -> str:
        forms = [form for found, form in lives[0].fetches if found == path and ("gzip" in form) is gzipped]
        times = (median(percentile(life.fetches[path, form].latencies_ms, 0.5) for life in lives) for form in forms)
        return f"{max(times):.1f} ms"

    memory = median(max(life.filled_bytes, life.at_end_bytes) for life in lives)
    return (
        f"Wanted: 5,000 renewals/s for each process (measured: {renewals:,.0f}), everything in under 20 ms (p50 of the "
        f"slower form: {slowest('/eureka/apps', gzipped=False)}), the delta in under 5 ms "
        f"({slowest('/eureka/apps/delta', gzipped=False)}), gzip in under 2 ms "
        f"({slowest('/eureka/apps', gzipped=True)}), under 250 MB ({memory / 1e6:.0f} MB)."
    )

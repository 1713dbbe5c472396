"""The figures as Markdown, ready for the README: medians of the rounds, and their spread where there are several."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from chassis.testing.bench.outcome import Outcome
from chassis.testing.bench.tables import spread, table

from .files import FILES, KEYS
from .measures import CONNECTIONS, Effort, Round
from .servers import OURS

Rounds = Mapping[str, Sequence[Round]]

_READS: list[tuple[str, Callable[[Round], Outcome | None]]] = [
    ("unchanged commit", lambda life: life.warm),
    ("unchanged commit, If-None-Match (304)", lambda life: life.unchanged),
    ("the first after a commit", lambda life: life.after_commit),
    ("the second after a commit", lambda life: life.after_that),
]


def report(rounds: Rounds, effort: Effort, command: str, load_average: float) -> str:
    """Load average: of the minute before, to tell whether the machine was quiet."""
    parts = [_circumstances(rounds, effort, command, load_average), _reads(rounds), _start_and_memory(rounds)]
    return "\n\n".join([*parts, _wanted(rounds[OURS])])


def _circumstances(rounds: Rounds, effort: Effort, command: str, load_average: float) -> str:
    ours = rounds[OURS]
    how = f"median (lowest – highest) of {len(ours)} rounds" if len(ours) > 1 else "one round"
    client = max(life.warm.client_processor for life in ours if life.warm)
    return (
        f"`{command}`, {datetime.now(UTC).date()}, {os.cpu_count()} processors (load average before: "
        f"{load_average:.1f}), Python {platform.python_version()}, {how}. An environment of {len(FILES)} files and "
        f"{KEYS} keys, {ours[0].answer_bytes:,} bytes, asked for with a credential (Spring's server checks none). "
        f"Unchanged: {CONNECTIONS} clients with a connection each for {effort.seconds:g} s, in a process that used "
        f"{client:.0%} of a processor at the most. After a commit: one client, {effort.commits} commits, each "
        "changes one of the files."
    )


def _reads(rounds: Rounds) -> str:
    rows = []
    for what, outcome in _READS:
        for name, lives in rounds.items():
            outcomes = [found for life in lives if (found := outcome(life)) is not None]
            if outcomes:
                rows.append([what, name, *_figures(outcomes)])
    return table(["read", "server", "requests/s", "p50", "p99", "processor time each"], rows)


def _figures(outcomes: Sequence[Outcome]) -> list[str]:
    return [
        spread([outcome.requests_per_second for outcome in outcomes], "{:,.0f}"),
        spread([outcome.p50_ms for outcome in outcomes], "{:.1f} ms"),
        spread([outcome.p99_ms for outcome in outcomes], "{:.1f} ms"),
        spread([outcome.processor_us / 1e3 for outcome in outcomes], "{:.2f} ms"),
    ]


def _start_and_memory(rounds: Rounds) -> str:
    rows: list[tuple[str, Callable[[Round], float], str]] = [
        ("start, to the first answer", lambda life: life.start_seconds, "{:.2f} s"),
        ("processor time of the start", lambda life: life.start_processor_seconds, "{:.2f} s"),
        ("memory after the start (PSS)", lambda life: life.at_rest_bytes / 1e6, "{:.0f} MB"),
        ("memory after all of the above", lambda life: life.at_end_bytes / 1e6, "{:.0f} MB"),
    ]
    return table(
        ["", *rounds],
        [
            [what, *(spread([figure(life) for life in lives], form) for lives in rounds.values())]
            for what, figure, form in rows
        ],
    )


def _wanted(lives: Sequence[Round]) -> str:
    """The issue's figures against what was measured."""
    warm = [life.warm for life in lives if life.warm]
    return (
        "Wanted: 3,000 requests/s for each process on an unchanged commit (measured: "
        f"{median(outcome.requests_per_second for outcome in warm):,.0f}), a p99 under 10 ms "
        f"({median(outcome.p99_ms for outcome in warm):.1f} ms), the first answer within 1 s of the start "
        f"({median(life.start_seconds for life in lives):.2f} s)."
    )

"""The figures as Markdown, ready for the README: medians of the rounds, and their spread where there are several."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

import confluent_kafka

from .brokers import EMBEDDED
from .measures import CLIENTS, PARTITIONS, SERVICE_GROUPS, SERVICE_RATE, SERVICE_TOPICS, SHAPES, Effort, Round, Shape

Rounds = Mapping[str, Sequence[Round]]
Figure = Callable[[Round], float]


def report(rounds: Rounds, effort: Effort, command: str, load_average: float) -> str:
    """Load average: of the minute before, to tell whether the machine was quiet."""
    parts = [_circumstances(rounds, command, load_average), _start_and_memory(rounds), _services(rounds, effort)]
    return "\n\n".join([*parts, _shapes(rounds, effort), _wanted(rounds[EMBEDDED])])


def faults(rounds: Rounds) -> list[str]:
    """A sentence for each load of which something was lost, doubled, reordered, or not acknowledged."""
    return [
        f"{name}: lost / doubled / out of order {outcome.faults}; {len(outcome.failed)} failures {outcome.failed[:3]}"
        for name, lives in rounds.items()
        for life in lives
        for outcome in life.outcomes()
        if outcome.faults or outcome.failed
    ]


def _circumstances(rounds: Rounds, command: str, load_average: float) -> str:
    versions = [
        f"{name} {lives[0].version or version('embedded-kafka')}".replace(EMBEDDED, f"`{EMBEDDED}`")
        for name, lives in rounds.items()
    ]
    library = f"confluent-kafka {version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]})"
    versions += [f"Python {platform.python_version()}", library, f"aiokafka {version('aiokafka')}"]
    repeated = len(next(iter(rounds.values())))
    how = f"median (lowest – highest) of {repeated} rounds, brokers in turn" if repeated > 1 else "one round"
    today = datetime.now(UTC).date()
    machine = f"{os.cpu_count()} processors (load average before: {load_average:.1f})"
    return f"`{command}`, {today}, {machine}, {how}. {', '.join(versions)}."


def _start_and_memory(rounds: Rounds) -> str:
    rows: list[tuple[str, Figure, str]] = [
        ("start on an empty folder, to the first answer", lambda life: life.start_seconds, "{:.2f} s"),
        ("memory at rest", lambda life: life.at_rest.now_bytes / 1e6, "{:.0f} MB"),
        ("memory at the most, under all the load below", lambda life: life.at_end.most_bytes / 1e6, "{:.0f} MB"),
    ]
    return _table(
        ["", *rounds],
        [[what, *(_spread(lives, figure, form) for lives in rounds.values())] for what, figure, form in rows],
        "Resident memory of the broker's process (VmRSS, VmHWM).",
    )


def _services(rounds: Rounds, effort: Effort) -> str:
    rows = []
    for client in CLIENTS:
        for what, figure, form in _service_figures(client):
            rows.append([client, what, *(_spread(lives, figure, form) for lives in rounds.values())])
        faulty = [
            sum((life.services[client].faults for life in lives[1:]), lives[0].services[client].faults)
            for lives in rounds.values()
        ]
        rows.append([client, "lost / doubled / out of order", *map(str, faulty)])
    return _table(
        ["clients", "", *rounds],
        rows,
        f"{SERVICE_RATE:,} records/s of 100 B for {effort.services_seconds} s, over {SERVICE_TOPICS} topics of "
        f"{PARTITIONS} partitions, each read by {SERVICE_GROUPS} groups in processes of their own. From produce to "
        "consume; idempotent, acks=all, nothing lingers. The aiokafka clients work as the services do, with a commit "
        "after each batch.",
    )


def _service_figures(client: str) -> list[tuple[str, Figure, str]]:
    return [
        ("p50", lambda life: life.services[client].p50_ms, "{:.1f} ms"),
        ("p99", lambda life: life.services[client].p99_ms, "{:.1f} ms"),
        ("highest", lambda life: life.services[client].highest_ms, "{:.0f} ms"),
        ("the broker's processor time", lambda life: life.services_processor[client] * 100, "{:.0f} %"),
    ]


def _shapes(rounds: Rounds, effort: Effort) -> str:
    def speed(shape: Shape) -> Figure:
        return lambda life: life.speeds[shape].records_per_second

    def p50(shape: Shape) -> Figure:
        return lambda life: life.delays[shape].p50_ms

    def p99(shape: Shape) -> Figure:
        return lambda life: life.delays[shape].p99_ms

    columns = [("records/s", speed, "{:,.0f}"), ("p50", p50, "{:.1f} ms"), ("p99", p99, "{:.1f} ms")]
    rows = []
    for shape in SHAPES:
        size = f"{shape.record_bytes // 1024} KiB" if shape.record_bytes >= 1024 else f"{shape.record_bytes} B"
        cells = [_spread(lives, figure(shape), form) for _, figure, form in columns for lives in rounds.values()]
        rows.append([shape.client, str(shape.producers), size, *cells])
    heads = [f"{what}, {name}" for what, _, _ in columns for name in rounds]
    return _table(
        ["clients", "producers", "records", *heads],
        rows,
        "records/s: at saturation, from the first produce to the last consume; idempotent, acks=all, default batches "
        f"and linger; {effort.small_records:,} small or {effort.large_records:,} large records (aiokafka: a quarter) "
        f"into {PARTITIONS} partitions, read by a group at the same time. p50 and p99: from produce to consume at "
        f"{effort.delay_rate:,} records/s, without linger. Producers and reader are a process each, on the same "
        "processors as the broker.",
    )


def _wanted(lives: Sequence[Round]) -> str:
    """The issue's figures against what was measured: the slowest shape of 100 B, and clients that cost least."""
    small = [shape for shape in SHAPES if shape.record_bytes == 100 and shape.client == "librdkafka"]
    slowest = min(median(life.speeds[shape].records_per_second for life in lives) for shape in small)
    p99_ms = median(life.services["librdkafka"].p99_ms for life in lives)
    most_bytes = max(life.at_end.most_bytes for life in lives)
    return (
        f"Wanted of `{EMBEDDED}`: 30,000 records/s of 100 B (measured: {slowest:,.0f}), a p99 under 10 ms with "
        f"{SERVICE_GROUPS} groups ({p99_ms:.1f} ms), under 120 MB ({most_bytes / 1e6:.0f} MB)."
    )


def _spread(lives: Sequence[Round], figure: Figure, form: str) -> str:
    values = [figure(life) for life in lives]
    middle = form.format(median(values))
    if len(values) == 1:
        return middle
    plain = form.partition("}")[0] + "}"
    return f"{middle} ({plain.format(min(values))} – {plain.format(max(values))})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], legend: str) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return legend + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)

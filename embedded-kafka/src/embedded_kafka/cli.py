"""The command line: serve, and look into a broker's folder without asking (or disturbing) the broker."""

import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .__main__ import give_up, run
from .log import Segment, segments_in
from .messages import APIS
from .offsets import read_offsets
from .records import is_intact
from .topics import StoredTopic, partition_folder, stored_topics

app = typer.Typer(no_args_is_help=True, add_completion=False, help=(__doc__ or "").strip())
console = Console()

Data = Annotated[Path, typer.Option("--data", help="The broker's folder.", envvar="KAFKA_DATA")]


@app.command()
def serve(
    data: Annotated[Path, typer.Option("--data", help="Where topics and offsets are kept.", envvar="KAFKA_DATA")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 9092,
    host: str = "127.0.0.1",
    fsync: Annotated[bool, typer.Option(help="Wait for the disk before acknowledging.")] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C; one line on standard output says when it is ready, and where."""
    run(data, host, port, fsync=fsync)


@app.command()
def topics(data: Data) -> None:
    """List the topics with their partitions."""
    table = _table("topic", "partition", "start", "end", "segments", "bytes", "config")
    for name, stored in _stored_topics(data).items():
        config = ", ".join(f"{key}={value}" for key, value in stored["configs"].items())
        for index in range(stored["partitions"]):
            segments = _segments(data, name, index)
            total_bytes = sum(segment.size_bytes for segment in segments)
            start, end = segments[0].base_offset, segments[-1].next_offset
            table.add_row(name, str(index), str(start), str(end), str(len(segments)), str(total_bytes), config)
    console.print(table)


@app.command()
def groups(data: Data) -> None:
    """List the groups' committed offsets, and how far they are behind."""
    table = _table("group", "topic", "partition", "committed", "end", "lag")
    ends: dict[tuple[str, int], int] = {}
    stored = _stored_topics(data)
    for group_id, offsets in sorted(read_offsets(data / "offsets.jsonl").items()):
        for (topic, partition), committed in sorted(offsets.items()):
            if topic in stored and (topic, partition) not in ends:
                ends[topic, partition] = _segments(data, topic, partition)[-1].next_offset
            end = ends.get((topic, partition), 0)
            lag = max(0, end - committed.offset)
            table.add_row(group_id, topic, str(partition), str(committed.offset), str(end), str(lag))
    console.print(table)


@app.command()
def dump(
    data: Data,
    topic: Annotated[str, typer.Argument()],
    partition: Annotated[int, typer.Argument()] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many batches, the last ones.")] = 20,
) -> None:
    """List the record batches of a partition; what is in them may be compressed, and is not shown."""
    stored = _stored_topics(data).get(topic)
    if stored is None or not 0 <= partition < stored["partitions"]:
        give_up(f"There is no partition {partition} of a topic {topic!r} in {data}.")
    table = _table("offsets", "records", "bytes", "codec", "latest timestamp", "producer", "sequence", "checksum")
    batches = ((segment, *batch) for segment in _segments(data, topic, partition) for batch in segment.headers())
    for segment, position, header in deque(batches, maxlen=limit):
        table.add_row(
            f"{header.base_offset} - {header.next_offset - 1}",
            str(header.record_count),
            str(header.size_bytes),
            header.codec,
            str(header.max_timestamp),
            "-" if header.producer_id < 0 else f"{header.producer_id} (epoch {header.producer_epoch})",
            "-" if header.producer_id < 0 else str(header.base_sequence),
            "good" if is_intact(segment.batch_at(position, header), header) else "BAD",
        )
    console.print(table)


@app.command()
def protocol() -> None:
    """Print the APIs and versions, as they stand in the README."""
    sys.stdout.write(protocol_table())


def protocol_table() -> str:
    rows = [f"| {api.key} | {api.name} | {api.version} |\n" for api in APIS]
    return "".join(["| key | API | version |\n", "|---|---|---|\n", *rows])


def main() -> None:
    try:
        app()
    except (OSError, ValueError) as error:
        give_up(str(error))


def _stored_topics(data: Path) -> dict[str, StoredTopic]:
    if not (data / "broker.json").exists():
        give_up(f"There is no broker's data in {data}.")
    return stored_topics(data)


def _segments(data: Path, topic: str, partition: int) -> list[Segment]:
    segments = segments_in(partition_folder(data, topic, partition))
    for segment in segments:
        segment.recover(lambda header, offset: None, check=False)
    return segments


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column)
    return table

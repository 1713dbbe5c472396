"""What people see: the start as it goes on, and what runs where."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .processes import memory_bytes, own_memory_bytes
from .report import ProcessReport, Report

_STYLES = {"waiting": "dim", "starting": "yellow", "ready": "green", "down": "bold red", "stopped": "dim"}


def show_start(console: Console, reports: Iterable[Report]) -> Report:
    """Show each part as it gets ready: a table that changes, or lines where this is no terminal. Returns the last."""
    if not console.is_terminal:
        return _show_start_in_lines(console, reports)
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        for report in reports:
            live.update(_progress(report))
    return report


def _show_start_in_lines(console: Console, reports: Iterable[Report]) -> Report:
    seen: set[tuple[str, str]] = set()
    for report in reports:
        for process in report.processes:
            if process.condition in ("ready", "down") and (told := (process.name, process.condition)) not in seen:
                seen.add(told)
                console.print(f"{process.name}: {process.condition} {process.last_death}".rstrip(), soft_wrap=True)
    return report


def _progress(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    for process in report.processes:
        table.add_row(process.name, _condition(process), Text(process.last_death, style="red"))
    table.add_row("", Text(f"{time.time() - report.since:.1f} s", style="dim"))
    return table


def what_runs(report: Report, *, with_memory: bool = False) -> Table:
    """A table of the fleet's processes, narrow enough for 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for heading, justify in _COLUMNS[: None if with_memory else -1]:
        table.add_column(heading, justify=justify, no_wrap=True)
    total = 0
    for process in report.processes:
        row = [Text(process.name), Text(str(process.pid or "")), Text(process.url), _since(process)]
        row.append(Text(str(process.restarts or ""), style="yellow"))
        if with_memory:
            memory = memory_bytes(process.pid) if process.pid else None
            total += memory or 0
            row.append(_mebibytes(memory))
        table.add_row(*row)
    if with_memory:
        memory = own_memory_bytes(report.supervisor)
        table.add_row("supervisor", str(report.supervisor), "", _moment(report.since), "", _mebibytes(memory))
        table.add_row("all", "", "", "", "", _mebibytes(total + (memory or 0) or None), style="bold")
    return table


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("name", "left"),
    ("pid", "right"),
    ("address", "left"),
    ("up since", "left"),
    ("restarts", "right"),
    ("memory", "right"),
)


def _since(process: ProcessReport) -> Text:
    """When it was started, or what is the matter with it."""
    if process.condition != "ready" or process.started_at is None:
        return _condition(process)
    return Text(_moment(process.started_at), style=_STYLES["ready"])


def _condition(process: ProcessReport) -> Text:
    return Text(process.condition, style=_STYLES[process.condition])


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%H:%M:%S}"


def _mebibytes(size: int | None) -> Text:
    return Text("?" if size is None else f"{size / 2**20:.0f} MiB")

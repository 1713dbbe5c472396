"""The services' logs, made readable: one line for each JSON object, those of all services in the order of time."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from rich.text import Text

from .state import FleetProblem, Home

_LOOK_SECONDS = 0.2
_LEVEL_STYLES = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
_SERVICE_STYLES = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta", "bright_blue", "bright_green")
# As PostgreSQL and Python's own logging begin a line.
_PLAIN_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)[.,](\d{3})")
_SHOWN_OTHERWISE = {"time", "level", "service", "logger", "message", "trace_id", "exception"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log: `fields` where it is JSON, else only as it stands there."""

    source: str
    text: str
    fields: dict[str, Any]
    time: str
    """RFC 3339; a line without one has that of the line before, so that a traceback stays where it belongs."""


def lines_of(home: Home, service: str = "", *, follow: bool = False) -> Iterator[Line]:
    """The lines of one log, or of all, the oldest first. Raises FleetProblem where there is no such log."""
    paths = sorted(home.logs.glob(f"{service or '*'}.log"))
    if not paths:
        known = ", ".join(sorted(path.stem for path in home.logs.glob("*.log"))) or "none"
        raise FleetProblem(f"There is no log{f' of {service}' if service else ''} in {home.logs}; there are: {known}.")
    tails = [_Tail(path) for path in paths]
    yield from merge(*(tail.read() for tail in tails), key=lambda line: line.time)
    while follow:
        time.sleep(_LOOK_SECONDS)
        yield from merge(*(tail.read() for tail in tails), key=lambda line: line.time)


class _Tail:
    """Reads a file on from where it was read to, and a new one under its name from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._position = 0
        self._time = ""

    def read(self) -> Iterator[Line]:
        try:
            file = self._path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            status = self._path.stat()
            if status.st_ino != self._inode or status.st_size < self._position:
                self._inode, self._position = status.st_ino, 0
            file.seek(self._position)
            while (text := file.readline()).endswith("\n"):
                self._position = file.tell()
                yield self._line(text.rstrip("\n"))

    def _line(self, text: str) -> Line:
        fields: dict[str, Any] = {}
        if text.startswith("{"):
            try:
                fields = json.loads(text)
            except ValueError:
                fields = {}
        if (plain := _PLAIN_TIME.match(text)) is not None:
            self._time = f"{plain[1]}T{plain[2]}.{plain[3]}"
        self._time = str(fields.get("time", self._time))
        return Line(self._path.stem, text, fields, self._time)


def readable(line: Line) -> Text:
    """`12:30:01.123 INFO  order-service  what happened  key=value  trace`"""
    style = _SERVICE_STYLES[sum(line.source.encode()) % len(_SERVICE_STYLES)]
    shown = Text()
    if not line.fields:
        return shown.append(f"{line.source:18} ", style).append(line.text)
    level = str(line.fields.get("level", ""))
    shown.append(f"{line.time[11:23]} ", "dim")
    shown.append(f"{level:8}", _LEVEL_STYLES.get(level, ""))
    shown.append(f"{line.source:18} ", style)
    shown.append(str(line.fields.get("message", "")), _LEVEL_STYLES.get(level, ""))
    for key, value in line.fields.items():
        if key not in _SHOWN_OTHERWISE:
            shown.append(f"  {key}={value}", "dim")
    if trace := line.fields.get("trace_id"):
        shown.append(f"  {trace}", "dim italic")
    if exception := line.fields.get("exception"):
        shown.append(f"\n{str(exception).rstrip()}", "red")
    return shown

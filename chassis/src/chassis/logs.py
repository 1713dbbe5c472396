"""Logs as JSON lines with service, trace id and request id; shipped to Loki in a thread of their own if asked."""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from .settings import ServiceSettings
from .telemetry import current_trace_id

# What the current request or event is called in the logs; set at the edges.
log_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "tags", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, logger, message, trace_id, and what `extra=` gave."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        line |= log_context.get() or {}
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


class OnceInAWhile(logging.Filter):
    """Lets the same complaint of a chatty library through once in 30 s: aiokafka repeats it every 0.1 s."""

    def __init__(self, logger_name: str, seconds: float = 30.0) -> None:
        super().__init__()
        self._logger_name = logger_name
        self._seconds = seconds
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(self._logger_name):
            return True
        complaint = f"{record.name} {record.msg}"
        if record.created - self._said_at.get(complaint, 0.0) < self._seconds:
            return False
        self._said_at[complaint] = record.created
        return True


def configure_logging(settings: ServiceSettings) -> None:
    """Send everything that is logged to standard output (and Loki) as JSON; replaces earlier handlers."""
    formatter = JsonFormatter(settings.service_name)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if settings.loki_url:
        # Imported only where used: it brings requests along.
        from .loki import loki_handler

        handlers.append(loki_handler(settings.loki_url, {"service": settings.service_name}))
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(OnceInAWhile("aiokafka"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=handlers, force=True)
    # uvicorn's own start and stop lines add nothing to ours; httpx logs each request at INFO.
    for noisy in ("uvicorn.error", "uvicorn.access", "httpx", "httpcore", "aiokafka", "py_eureka_client", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def set_level(logger_name: str, level: str) -> None:
    """Change a logger's level while running; `root` is the root logger. Raises ValueError for an unknown level."""
    logging.getLogger(None if logger_name in ("root", "ROOT") else logger_name).setLevel(level.upper())

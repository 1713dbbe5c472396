"""What the supervisor tells the command line: which process is where, and what has become of it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .plan import ADMIN_EMAIL, CONFIG_SERVER, DISCOVERY_SERVER, GATEWAY, KAFKA, POSTGRES, Plan
from .state import Home, read_json, write_json

Phase = Literal["starting", "ready", "stopping", "failed"]
Condition = Literal["waiting", "starting", "ready", "down", "stopped"]


@dataclass(kw_only=True)
class ProcessReport:
    name: str
    url: str
    condition: Condition = "waiting"
    pid: int | None = None
    started_at: float | None = None
    """Seconds since the epoch."""
    restarts: int = 0
    last_death: str = ""
    """How it ended, with the last lines of its log."""


@dataclass(kw_only=True)
class Report:
    """All there is to know of one run of the fleet."""

    supervisor: int
    supervisor_started: str
    phase: Phase = "starting"
    problem: str = ""
    since: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    ready_after_seconds: float | None = None
    processes: list[ProcessReport] = field(default_factory=list)

    @classmethod
    def read(cls, home: Home) -> "Report | None":
        found = read_json(home.report_file)
        if found is None:
            return None
        try:
            return cls(**{**found, "processes": [ProcessReport(**process) for process in found["processes"]]})
        except (KeyError, TypeError):
            return None  # of another version

    def write(self, home: Home) -> None:
        write_json(home.report_file, asdict(self))


def write_fleet_file(home: Home, plan: Plan, processes: Sequence[ProcessReport], database_url: str) -> None:
    """`.run/fleet.json`, for people and tests; `fleet env` prints the same."""
    kafka = plan.part(KAFKA)
    content: dict[str, Any] = {
        "gateway_url": plan.url_of(GATEWAY),
        "config_url": plan.url_of(CONFIG_SERVER),
        "discovery_url": plan.url_of(DISCOVERY_SERVER),
        "admin": {"email": ADMIN_EMAIL, "password": plan.admin_password},
        "config_admin_password": plan.setting_of(CONFIG_SERVER, "CONFIG_SERVER_ADMIN_CREDENTIALS"),
        "config_webhook_secret": plan.setting_of(CONFIG_SERVER, "CONFIG_SERVER_WEBHOOK_SECRET"),
        "discovery_admin_password": plan.setting_of(DISCOVERY_SERVER, "DISCOVERY_SERVER_ADMIN_CREDENTIALS"),
        "database_url": database_url if plan.part(POSTGRES) else "",
        "kafka": kafka.url if kafka else "",
        "processes": {
            process.name: [{"pid": process.pid, "url": process.url}] for process in processes if process.pid is not None
        },
    }
    write_json(home.fleet_file, content)

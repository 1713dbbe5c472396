"""`python tiny_fleet.py <project folder> <parts as JSON>`: a supervisor of tiny services, as `fleet.supervisor` is.

With IMPORT=nothing in the environment it imports nothing before it forks, which is quick, and enough for tiny services.
"""

import json
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet import nursery, supervisor, watch
from fleet.plan import Part, Plan, Wave
from fleet.ports import free_port
from fleet.state import Home

GRACE_SECONDS = 0.5


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    watch._GRACE_SECONDS = GRACE_SECONDS
    if os.environ.get("IMPORT") == "nothing":
        nursery.import_what_servers_share = nursery.import_what_services_share = lambda: None
    home = Home(Path(sys.argv[1]))
    parts = json.loads(sys.argv[2])
    sys.exit(0 if supervisor.run(home, lambda: _plan(parts)) else 1)


def _plan(parts: list[dict[str, str]]) -> Plan:
    return Plan(parts=tuple(_part(**part) for part in parts), databases={})


def _part(name: str, wave: str = "SERVICES", **environment: str) -> Part:
    port = free_port()
    return Part(
        name=name,
        wave=Wave[wave],
        port=port,
        entry="support.tiny_service",
        environment={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "NAME": name,
            **environment,
        },
    )


if __name__ == "__main__":
    main()

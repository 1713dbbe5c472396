"""Writes Grafana's dashboards; with --check, says instead what is stale or does not fit together.

python observability/generate.py [--check]
"""

import json
import sys
from pathlib import Path
from typing import Any

from boards.event_pipeline import event_pipeline
from boards.fleet_overview import fleet_overview
from boards.gateway import gateway
from fitting import what_does_not_fit
from grafana_foundation_sdk.cog.encoder import JSONEncoder

HERE = Path(__file__).parent
FOLDER = HERE / "grafana" / "dashboards"


def dashboards() -> dict[str, str]:
    """The text of each dashboard's file, by its name; the same on every machine."""
    texts = {}
    for board in (fleet_overview(), gateway(), event_pipeline()):
        document: dict[str, Any] = json.loads(JSONEncoder().encode(board.build()))
        # The SDK leaves panels without ids, and Grafana's links to a panel need them.
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number
        # It also writes a key that Grafana's own schema does not have.
        for entry in [*document.get("links", []), *document["annotations"]["list"]]:
            entry.pop("placement", None)
        texts[f"{document['uid']}.json"] = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return texts


def main(arguments: list[str]) -> int:
    wanted = dashboards()
    present = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    if arguments == ["--check"]:
        faults = [
            f"{FOLDER.name}/{name} is not what generate.py writes: run it."
            for name in sorted(wanted.keys() | present.keys())
            if wanted.get(name) != present.get(name)
        ]
        faults += what_does_not_fit(HERE, {name: json.loads(text) for name, text in wanted.items()})
        sys.stdout.writelines(f"{fault}\n" for fault in faults)
        return 1 if faults else 0
    if arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"{FOLDER / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

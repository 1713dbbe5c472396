"""Contracts: for each event a service says, a JSON sample that is kept by hand and a JSON Schema made from its class.

`python -m chassis.contracts order_service order-service` writes the schemas of `order_service.events.SAID` into
`order-service/contracts/`; with `--check` it only says which are stale.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from .messages import Event


def schema_of(event_type: type[Event]) -> str:
    """The text of an event's schema file (JSON Schema 2020-12)."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": event_type.type,
        **event_type.model_json_schema(mode="serialization"),
        "title": event_type.type,
    }
    return json.dumps(schema, indent=2) + "\n"


def stale_schemas(folder: Path, said: Iterable[type[Event]]) -> dict[Path, str]:
    """The schema files that are missing or differ, with what should be in them."""
    wanted = {folder / f"{event_type.type}.schema.json": schema_of(event_type) for event_type in said}
    return {path: text for path, text in wanted.items() if not path.is_file() or path.read_text() != text}


def main() -> None:
    parser = argparse.ArgumentParser(prog="chassis.contracts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", help="the service's package, with SAID in its events module")
    parser.add_argument("folder", type=Path, help="the service's folder")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a schema is stale")
    arguments = parser.parse_args()
    said = importlib.import_module(f"{arguments.package}.events").SAID
    stale = stale_schemas(arguments.folder / "contracts", said)
    if arguments.check:
        if stale:
            sys.exit(f"stale, run 'make generate': {', '.join(map(str, sorted(stale)))}")
        return
    for path, text in stale.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()

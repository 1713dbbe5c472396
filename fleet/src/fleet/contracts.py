"""Compares what services say with what others hear: `python -m fleet.contracts` exits 1 where a promise is not kept.

Each owner has a sample of every event it says in its `contracts/`; each reader keeps copies of the samples that it
relies on in its `tests/contracts/`. A copy that differs from its owner's sample is one of the two's news that the
other has not heard; that a reader understands its copies is a test of its own.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chassis.contracts import stale_schemas
from chassis.messages import Event
from chassis.reactions import Reactions

SERVICES = ("auth-service", "order-service", "inventory-service", "payment-service")


@dataclass(frozen=True)
class Service:
    """A service as far as its events go."""

    name: str
    said: tuple[type[Event], ...]
    heard: tuple[type[Event], ...]


def load(name: str) -> Service:
    """What the service of this name says and hears, from its `events` and `reactions` modules."""
    package = name.replace("-", "_")
    said = tuple(importlib.import_module(f"{package}.events").SAID)
    try:
        reactions = importlib.import_module(f"{package}.reactions").REACTIONS
    except ModuleNotFoundError:
        return Service(name, said, ())
    return Service(name, said, tuple(Reactions(None, reactions).event_types))


def broken_promises(root: Path, services: list[Service]) -> Iterator[str]:
    """One sentence for each promise that is not kept."""
    owners = {event_type.type: service.name for service in services for event_type in service.said}
    topics = {event_type.type: event_type.topic for service in services for event_type in service.said}
    for service in services:
        for path in stale_schemas(root / service.name / "contracts", service.said):
            yield f"{path.relative_to(root)} is stale: run 'make generate'"
        for event_type in service.heard:
            name = event_type.type
            if name not in owners:
                yield f"{service.name} hears {name}, which nobody says"
                continue
            if event_type.topic != topics[name]:
                yield f"{service.name} hears {name} on {event_type.topic}, but it is said on {topics[name]}"
            sample = root / owners[name] / "contracts" / f"{name}.json"
            copy = root / service.name / "tests" / "contracts" / f"{name}.json"
            if not copy.is_file():
                yield f"{service.name} hears {name} and keeps no sample of it: copy {sample.relative_to(root)}"
            elif copy.read_text() != sample.read_text():
                yield f"{copy.relative_to(root)} differs from {sample.relative_to(root)}"


def main() -> None:
    root = Path.cwd()
    broken = list(broken_promises(root, [load(name) for name in SERVICES]))
    if broken:
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()

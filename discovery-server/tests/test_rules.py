"""Eureka's rules of statuses and stamps in all combinations, as a real server was seen to follow them."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.clock import FakeClock
from support.instances import an_instance

from discovery_server.errors import NoSuchInstance
from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "goldens" / "rules.json").read_text())
STAMP_MS = 1_700_000_000_000
FIRST_STEP = "register"


@pytest.mark.parametrize("sequence", RECORDED[::150], ids=range(len(RECORDED[::150])))
def test_the_recording_has_what_it_should(sequence: dict[str, Any]) -> None:
    assert sequence["steps"][0]["do"] == FIRST_STEP
    assert len(sequence["steps"]) == len(sequence["outcomes"])


def test_every_sequence_ends_as_it_did_at_the_real_server() -> None:
    registry = Registry(FakeClock().clock)
    different = []
    for number, sequence in enumerate(RECORDED):
        outcomes = [do(registry, f"A{number}", step) for step in sequence["steps"]]
        if outcomes != sequence["outcomes"]:
            different.append((sequence["steps"], sequence["outcomes"], outcomes))

    assert len(RECORDED) > 1000
    assert different == []


def do(registry: Registry, app: str, step: dict[str, Any]) -> list[Any]:
    """What the recording has of a step: see conformance/rules.py."""
    dirty_ms = STAMP_MS + step.get("stamp", 0)
    status_code = 200
    try:
        match step["do"]:
            case "register":
                status_code = 204
                instance = an_instance(
                    app,
                    "i",
                    status=Status(step["status"]),
                    overridden_status=Status(step["overridden"]),
                    last_dirty_ms=dirty_ms,
                )
                registry.register(instance, replicated=step.get("replicated", False))
            case "override":
                registry.override_status(app, "i", Status(step["status"]), dirty_ms=dirty_ms)
            case "end":
                registry.remove_override(app, "i", Status(step["status"] or Status.UNKNOWN), dirty_ms=dirty_ms)
            case "metadata":
                registry.change_metadata(app, "i", {"color": "red"})
            case _:
                registry.renew(app, "i", dirty_ms=dirty_ms)
    except NoSuchInstance:
        status_code = 404
    shown = registry.instance(app, "i")
    was_up = shown.lease.up_since_ms > 0
    return [status_code, shown.status, shown.overridden_status, shown.dirty_ms - STAMP_MS, was_up, shown.action]

"""Assertions that a service keeps its contracts: what it says fits its samples, what it hears is what it kept."""

import json
from collections.abc import Iterable
from pathlib import Path

import jsonschema

from chassis.contracts import stale_schemas
from chassis.ids import uuid7
from chassis.messages import Envelope, Event


def assert_says_as_promised(folder: Path, said: Iterable[type[Event]]) -> None:
    """Each event said has a sample in `folder` with exactly its fields, and a schema that is not stale."""
    said = list(said)
    assert not stale_schemas(folder, said), "run 'make generate'"
    for event_type in said:
        sample = json.loads((folder / f"{event_type.type}.json").read_text())
        jsonschema.validate(sample, json.loads((folder / f"{event_type.type}.schema.json").read_text()))
        assert json.loads(event_type.model_validate(sample).model_dump_json()) == sample, event_type.type
    names = {path.name.removesuffix(".json").removesuffix(".schema") for path in folder.glob("*.json")}
    assert names == {event_type.type for event_type in said}, "a contract of something that is not said any more"


def assert_understands_samples(folder: Path, heard: Iterable[type[Event]]) -> None:
    """Each event heard can be read from its owner's sample, kept in `folder`, and with a field to come (K10)."""
    heard = list(heard)
    for event_type in heard:
        sample = json.loads((folder / f"{event_type.type}.json").read_text())
        for data in (sample, {**sample, "a_field_of_tomorrow": {"x": 1}}):
            envelope = Envelope.from_record(
                topic=event_type.topic,
                key=b"key",
                headers=[
                    ("ce_id", str(uuid7()).encode()),
                    ("ce_type", event_type.type.encode()),
                    ("ce_source", b"/owner"),
                    ("ce_time", b"2026-01-01T00:00:00Z"),
                ],
                value=json.dumps(data).encode(),
            )
            event_type.read(envelope)
    names = {path.stem for path in folder.glob("*.json")}
    assert names == {event_type.type for event_type in heard}, "a kept sample of something that is not heard any more"

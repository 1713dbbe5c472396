"""Writes docs/asyncapi.yaml (AsyncAPI 3.0) from the services' events: `python -m fleet.asyncapi [--check]`."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from chassis.contracts import schema_of

from .contracts import SERVICES, Service, load

PATH = Path("docs/asyncapi.yaml")

_HEADERS = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary mode",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_correlationid"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "UUIDv7; the key of de-duplication"},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "description": "/ and the service's name"},
        "ce_subject": {"type": "string", "description": "the aggregate's id; the record's key as well"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_correlationid": {"type": "string", "description": "one for everything that one cause has set off"},
        "ce_causationid": {"type": "string", "description": "ce_id of the event that was being handled"},
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "content-type": {"const": "application/json"},
    },
}


def document(root: Path, services: list[Service]) -> dict[str, Any]:
    """The AsyncAPI document: a channel for each topic, a message for each type, an operation for who says and hears."""
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for service in services:
        for event_type in service.said:
            name = event_type.type
            schema = json.loads(schema_of(event_type))
            schema.pop("$schema")
            schema.pop("$id")
            sample = json.loads((root / service.name / "contracts" / f"{name}.json").read_text())
            messages[name] = {
                "name": name,
                "contentType": "application/json",
                "headers": {"$ref": "#/components/schemas/headers"},
                "payload": schema,
                "examples": [{"payload": sample}],
            }
            channel = channels.setdefault(event_type.topic, {"address": event_type.topic, "messages": {}})
            channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
    for service in services:
        for action, event_types in (("send", service.said), ("receive", service.heard)):
            for topic in sorted({event_type.topic for event_type in event_types}):
                operations[f"{service.name}-{action}s-{topic}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "tags": [{"name": service.name}],
                    "messages": [
                        {"$ref": f"#/channels/{topic}/messages/{event_type.type}"}
                        for event_type in event_types
                        if event_type.topic == topic
                    ],
                }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Flotilla's events",
            "version": "1",
            "description": "Who says what on the four topics, and who hears it. Made by `make generate`.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"headers": _HEADERS}},
    }


def main() -> None:
    text = yaml.safe_dump(
        document(Path.cwd(), [load(name) for name in SERVICES]), sort_keys=False, width=110, allow_unicode=True
    )
    if "--check" not in sys.argv:
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_text(text)
    elif not PATH.is_file() or PATH.read_text() != text:
        sys.exit(f"{PATH} is stale: run 'make generate'")


if __name__ == "__main__":
    main()

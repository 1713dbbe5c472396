"""Records what the real server makes of every combination of statuses: `python -m conformance.rules`, for make test."""

import asyncio
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx

from .java_programs import eureka_server, find_program

RULES = Path(__file__).parents[1] / "tests" / "goldens" / "rules.json"
STATUSES = ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"]
STAMP_MS = 1_700_000_000_000

DEFAULT = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
CENTER = {"@class": DEFAULT, "name": "MyOwn"}

Steps = list[dict[str, Any]]


def sequences() -> list[Steps]:
    """Each is about one instance: what is done to it, one step after the other."""
    registrations = itertools.product(
        STATUSES, ["UNKNOWN", "OUT_OF_SERVICE"], STATUSES, ["UNKNOWN", "DOWN"], (-1, 0, 1), (False, True)
    )
    overrides = itertools.product(STATUSES, STATUSES, ["UP", "DOWN", "OUT_OF_SERVICE"], [None, *STATUSES])
    return [
        [
            {"do": "register", "status": status, "overridden": override, "stamp": 0},
            {"do": "register", "status": later, "overridden": later_override, "stamp": stamp, "replicated": replicated},
        ]
        for status, override, later, later_override, stamp, replicated in registrations
    ] + [
        [
            {"do": "register", "status": status, "overridden": "UNKNOWN", "stamp": 0},
            {"do": "override", "status": value, "stamp": 1},
            {"do": "renew", "stamp": 1},
            {"do": "register", "status": later, "overridden": "UNKNOWN", "stamp": 2},
            {"do": "metadata"},
            {"do": "end", "status": end, "stamp": 3},
            {"do": "renew", "stamp": 3},
            {"do": "register", "status": "UP", "overridden": "UNKNOWN", "stamp": 4},
        ]
        for status, value, later, end in overrides
    ]


async def record() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with eureka_server(find_program(), Path(folder, "log")) as url, httpx.AsyncClient(base_url=url) as client:
            rows = []
            for number, steps in enumerate(sequences()):
                outcomes = [await _outcome(client, f"A{number}", f"i{number}", step) for step in steps]
                rows.append(json.dumps({"steps": steps, "outcomes": outcomes}))
    RULES.write_text("[\n" + ",\n".join(rows) + "\n]\n")


async def _outcome(client: httpx.AsyncClient, app: str, key: str, step: dict[str, Any]) -> list[Any]:
    """The status of the answer; then of the instance: status, override, client's stamp, if it was ever UP, action."""
    path = f"apps/{app}/{key}"
    query = {"lastDirtyTimestamp": STAMP_MS + step.get("stamp", 0)}
    value = {"value": step["status"]} if step.get("status") else {}
    match step["do"]:
        case "register":
            fields = {"status": step["status"], "overriddenStatus": step["overridden"]}
            body = {"instance": instance(app, key) | fields | query}
            headers = {"x-netflix-discovery-replication": "true"} if step.get("replicated") else {}
            answer = await client.post(f"apps/{app}", json=body, headers=headers)
        case "override":
            answer = await client.put(f"{path}/status", params=query | value)
        case "end":
            answer = await client.delete(f"{path}/status", params=query | value)
        case "metadata":
            answer = await client.put(f"{path}/metadata", params={"color": "red"})
        case _:
            answer = await client.put(path, params=query)
    shown = (await client.get(path, headers={"Accept": "application/json"})).json()["instance"]
    stamp = int(shown["lastDirtyTimestamp"]) - STAMP_MS
    was_up = shown["leaseInfo"]["serviceUpTimestamp"] > 0
    return [answer.status_code, shown["status"], shown["overriddenStatus"], stamp, was_up, shown["actionType"]]


def instance(app: str, key: str) -> dict[str, Any]:
    return {
        "instanceId": key,
        "hostName": "h.test",
        "app": app,
        "ipAddr": "127.0.0.1",
        "status": "UP",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "false"},
        "dataCenterInfo": CENTER,
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
        "vipAddress": f"v-{app.lower()}",
        "secureVipAddress": f"s-{app.lower()}",
        "lastDirtyTimestamp": "1700000000000",
        "metadata": {"a": "1"},
    }


if __name__ == "__main__":
    asyncio.run(record())

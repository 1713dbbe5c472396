"""Batches of what peers tell, random ones, that the real server and ours have to answer alike."""

import json
import random
from typing import Any

import pytest

from .differential import Pair
from .rules import STAMP_MS, STATUSES
from .test_random import SEEDS, any_instance
from .test_sequences import JSON

BATCHES = 120
ACTIONS = ["Register", "Register", "Heartbeat", "Heartbeat", "StatusUpdate", "DeleteStatusOverride", "Cancel"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_batches_are_answered_alike(pair: Pair, seed: int) -> None:
    before = len(pair.differences)
    chance = random.Random(seed)
    headers = {**JSON, "Content-Type": "application/json"}
    for _ in range(BATCHES):
        # One about each instance at most: theirs answers with what became of it by the end of the batch.
        names = chance.sample([(app, key) for app in range(2) for key in range(3)], chance.randrange(6))
        items = [any_item(chance, f"BATCH{seed}-{app}", key) for app, key in names]
        path = chance.choice(["peerreplication/batch/", "peerreplication/batch"])
        await pair.ask("POST", path, headers, json.dumps({"replicationList": items}))
        for item in items:
            await pair.ask("GET", f"apps/{item['appName']}/{item['id']}", JSON)
    await pair.read("apps")

    assert pair.since(before) == ""


def any_item(chance: random.Random, app: str, number: int) -> dict[str, Any]:
    key = f"{app}:{number}"
    stamp = STAMP_MS + chance.randrange(4)
    action = chance.choice(ACTIONS)
    status = chance.choice(STATUSES)
    item: dict[str, Any] = {"appName": app, "id": key, "action": action, "lastDirtyTimestamp": stamp}
    if action == "Register":
        item["instanceInfo"] = any_instance(chance, app, key, stamp)
    if action in ("StatusUpdate", "DeleteStatusOverride"):
        item["status"] = status
    if action == "Heartbeat":
        item |= {"status": status, "overriddenStatus": "UNKNOWN", "instanceInfo": any_instance(chance, app, key, stamp)}
    return item

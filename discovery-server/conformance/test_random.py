"""Random sequences of requests that the real server and ours have to answer alike; a seed replays one."""

import os
import random
from collections.abc import Mapping
from typing import Any

import pytest

from .differential import Pair
from .rules import STAMP_MS, STATUSES, instance
from .test_sequences import JSON, REPLICATED

SEEDS = [int(seed) for seed in os.environ.get("CONFORMANCE_SEEDS", "1,2,3").split(",")]
REQUESTS = int(os.environ.get("CONFORMANCE_REQUESTS", "1500"))


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_sequences_are_answered_alike(pair: Pair, seed: int) -> None:
    before = len(pair.differences)
    chance = random.Random(seed)
    for _ in range(REQUESTS):
        await do_something(pair, chance, f"{seed}")

    assert pair.since(before) == ""


async def do_something(pair: Pair, chance: random.Random, world: str) -> None:
    """One request of any kind on one of a dozen instances."""
    app = f"APP{world}-{chance.randrange(3)}"
    key = f"{app}:{chance.randrange(4)}"  # the real server keeps overrides by the id alone
    path = f"apps/{chance.choice([app, app.lower()])}/{key}"
    stamp = STAMP_MS + chance.randrange(4)
    headers = chance.choice([{}, {}, REPLICATED])
    match chance.choices(
        ["register", "renew", "override", "end", "metadata", "cancel", "read", "list", "vip", "nonsense"],
        [20, 15, 10, 8, 6, 4, 12, 16, 5, 2],
    )[0]:
        case "register":
            await pair.register(app, any_instance(chance, app, key, stamp), headers)
        case "renew":
            more = chance.choice(["", f"?lastDirtyTimestamp={stamp}", f"?status=UP&lastDirtyTimestamp={stamp}"])
            await pair.ask("PUT", path + more, {**JSON, **headers})
        case "override":
            more = chance.choice(["", f"&lastDirtyTimestamp={stamp}"])
            await pair.ask("PUT", f"{path}/status?value={chance.choice(STATUSES)}{more}", headers)
        case "end":
            value = chance.choice(["", f"value={chance.choice(STATUSES)}"])
            await pair.ask("DELETE", f"{path}/status?{value}&lastDirtyTimestamp={stamp}", headers)
        case "metadata":
            await pair.ask("PUT", f"{path}/metadata?{chance.choice('abc')}={chance.randrange(3)}", headers)
        case "cancel":
            await pair.ask("DELETE", path, headers)
        case "read":
            await pair.ask("GET", chance.choice([path, f"instances/{key}", f"apps/{app}"]), any_form(chance))
        case "list":
            await pair.ask("GET", chance.choice(["apps", "apps/", "apps/delta", "v2/apps"]), any_form(chance))
        case "vip":
            await pair.ask("GET", f"{chance.choice(['vips', 'svips'])}/{chance.choice('abAB')}", any_form(chance))
        case _:
            await pair.ask(chance.choice(["POST", "PATCH", "DELETE"]), chance.choice(["apps", path + "/x", "vips/a"]))


def any_instance(chance: random.Random, app: str, key: str, stamp: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "status": chance.choice(STATUSES),
        "overriddenstatus": chance.choice(["UNKNOWN"] * 6 + ["OUT_OF_SERVICE"]),
        "lastDirtyTimestamp": chance.choice([stamp, str(stamp)]),
        "vipAddress": chance.choice(["a", "b", "a,b", "A", "", None]),
        "secureVipAddress": chance.choice(["a", "b,A", None]),
        "metadata": chance.choice([None, {}, {"a": "1"}, {"b": 2, "c": None}]),
        "leaseInfo": chance.choice([None, {"durationInSecs": 300, "renewalIntervalInSecs": 7}]),
        "port": chance.choice([{"$": 8080, "@enabled": "true"}, {"$": "9090", "@enabled": False}, None]),
        "asgName": chance.choice([None, None, "group"]),
        "homePageUrl": chance.choice([None, "http://h.test:8080/?a=1&b=<2>"]),
    }
    return instance(app, key) | fields


def any_form(chance: random.Random) -> Mapping[str, str]:
    """Of a list or of one instance: what a reader may ask for."""
    accept = chance.choice([{}, {"Accept": "application/json"}, {"Accept": "application/xml"}, {"Accept": "*/*"}])
    compact = chance.choice([{}, {}, {"X-Eureka-Accept": "compact"}])
    encoding = chance.choice([{}, {"Accept-Encoding": "gzip"}])
    return {**accept, **compact, **encoding}

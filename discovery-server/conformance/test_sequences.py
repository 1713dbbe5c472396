"""Sequences of requests that the real server and ours have to answer alike: all combinations of what decides."""

import itertools

import pytest

from .differential import Pair
from .rules import STAMP_MS, STATUSES, instance

REPLICATED = {"x-netflix-discovery-replication": "true"}
JSON = {"Accept": "application/json"}


async def test_a_second_registration_gets_the_real_servers_status(pair: Pair) -> None:
    before = len(pair.differences)
    combinations = itertools.product(
        STATUSES, ["UNKNOWN", "OUT_OF_SERVICE"], STATUSES, ["UNKNOWN", "DOWN"], (-1, 0, 1), (False, True)
    )
    for number, (status, override, later, later_override, stamp, replicated) in enumerate(combinations):
        app, key = f"S{number}", f"s{number}"
        first = {"status": status, "overriddenStatus": override, "lastDirtyTimestamp": str(STAMP_MS)}
        second = {"status": later, "overriddenStatus": later_override, "lastDirtyTimestamp": str(STAMP_MS + stamp)}
        await pair.register(app, instance(app, key) | first)
        await pair.register(app, instance(app, key) | second, REPLICATED if replicated else None)
        await pair.ask("GET", f"apps/{app}/{key}", JSON)

    assert pair.since(before) == ""


async def test_an_override_and_its_end_give_the_real_servers_status(pair: Pair) -> None:
    before = len(pair.differences)
    combinations = itertools.product(STATUSES, STATUSES, ["UP", "DOWN", "OUT_OF_SERVICE"], [None, *STATUSES])
    for number, (status, value, later, end) in enumerate(combinations):
        app, key = f"O{number}", f"o{number}"
        await pair.register(app, instance(app, key) | {"status": status})
        await pair.ask("PUT", f"apps/{app}/{key}/status?value={value}")
        await pair.ask("PUT", f"apps/{app}/{key}")
        await pair.register(app, instance(app, key) | {"status": later, "lastDirtyTimestamp": str(STAMP_MS + 1)})
        await pair.ask("GET", f"apps/{app}/{key}", JSON)
        await pair.ask("DELETE", f"apps/{app}/{key}/status" + (f"?value={end}" if end else ""))
        await pair.ask("PUT", f"apps/{app}/{key}?status=UP&lastDirtyTimestamp={STAMP_MS + 1}")
        await pair.ask("GET", f"apps/{app}/{key}", JSON)
        await pair.register(app, instance(app, key) | {"lastDirtyTimestamp": str(STAMP_MS + 2)})
        await pair.ask("GET", f"apps/{app}/{key}", JSON)

    assert pair.since(before) == ""


@pytest.mark.parametrize("replicated", [False, True])
async def test_stamps_of_renewals_and_overrides_are_weighed_alike(pair: Pair, replicated: bool) -> None:
    before = len(pair.differences)
    headers = {**JSON, **(REPLICATED if replicated else {})}
    stamps = [STAMP_MS - 1, STAMP_MS, STAMP_MS + 1, 0, -1]
    overridden = ["", "&overriddenstatus=UNKNOWN", "&status=DOWN"]
    if not replicated:  # ours takes a peer's override from the registration that follows
        overridden.append("&overriddenstatus=OUT_OF_SERVICE")
    for number, (stamp, more) in enumerate(itertools.product(stamps, overridden)):
        app, key = f"T{number}{replicated}".upper(), f"t{number}{replicated}"
        await pair.register(app, instance(app, key))
        for method, path in (("PUT", ""), ("PUT", "/status"), ("DELETE", "/status"), ("PUT", "")):
            await pair.ask(method, f"apps/{app}/{key}{path}?value=DOWN&lastDirtyTimestamp={stamp}{more}", headers)
            await pair.ask("GET", f"apps/{app}/{key}", JSON)

    assert pair.since(before) == ""


async def test_metadata_is_set_alike(pair: Pair) -> None:
    before = len(pair.differences)
    queries = ["", "?a=2", "?a=2&a=3", "?c=", "?c", "?=x", "?c=%C3%BC", "?c=a+b", "?a%20b=1", "?c=%zz", "?c=1;d=2"]
    queries += ["?a=%F0%9F%98%80", "?lastDirtyTimestamp=5", "?value=1", "?&&", "?%2F=%3D"]
    known: list[dict[str, str] | None] = [None, {}, {"a": "1"}, {"a": "1", "b": "2"}]
    for number, (status, metadata, query) in enumerate(itertools.product(["UP", "UNKNOWN"], known, queries)):
        app, key = f"M{number}", f"m{number}"
        await pair.register(app, instance(app, key) | {"status": status, "metadata": metadata})
        await pair.ask("PUT", f"apps/{app}/{key}/metadata{query}")
        await pair.read(f"apps/{app}")
        await pair.ask("PUT", f"apps/{app}/{key}/status?value=OUT_OF_SERVICE&lastDirtyTimestamp={STAMP_MS + 5}")
        await pair.ask("PUT", f"apps/{app}/{key}/metadata?z=1", REPLICATED)
        await pair.ask("GET", f"apps/{app}/{key}", JSON)

    assert pair.since(before) == ""


async def test_what_left_is_told_alike(pair: Pair) -> None:
    before = len(pair.differences)
    for number, (status, replicated) in enumerate(itertools.product(STATUSES, (False, True))):
        app, key = f"C{number}", f"c{number}"
        headers = REPLICATED if replicated else {}
        await pair.register(app, instance(app, key) | {"status": status})
        await pair.ask("PUT", f"apps/{app}/{key}/status?value=OUT_OF_SERVICE", headers)
        for _ in range(2):
            await pair.ask("DELETE", f"apps/{app}/{key}", headers)
        await pair.ask("PUT", f"apps/{app}/{key}", headers)
        await pair.read(f"apps/{app}")
        await pair.register(app, instance(app, key) | {"status": status}, headers)
        await pair.ask("GET", f"apps/{app}/{key}", JSON)
    await pair.read("apps/delta")

    assert pair.since(before) == ""

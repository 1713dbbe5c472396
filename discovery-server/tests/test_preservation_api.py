"""Self-preservation explained."""

from typing import Any

import httpx
from support.clock import FakeClock
from support.instances import an_instance
from support.server import running_server

from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry
from discovery_server.upkeep.health_check import Outcome
from discovery_server.upkeep.preservation_routes import SilentApplication, explain

ALIVE, SILENT, RUN_OUT = 1, 11, 16


def registry_with(time: FakeClock, *, lease_factor: float = 1.0, **silences: list[int]) -> Registry:
    """Applications whose instances have been silent for these times."""
    registry = Registry(time.clock, preservation=PreservationRules(limit_seconds=60), lease_factor=lease_factor)
    for second in range(60, -1, -1):
        for app, seconds in silences.items():
            for number, silent in enumerate(seconds):
                if silent == second:
                    registry.register(an_instance(app, f"{app}-{number}"))
        if second:
            registry.sweep()
            time.advance(1)
    return registry


def application(registry: Registry, name: str) -> SilentApplication:
    return next(each for each in explain(registry).applications if each.name == name)


class TestExplain:
    def test_where_everybody_renews_nothing_is_to_be_said(self) -> None:
        explanation = explain(registry_with(FakeClock(), A=[ALIVE] * 3))

        assert (explanation.instances, explanation.silent, explanation.applications) == (3, 0, [])
        assert explanation.rules.minimum == 10
        assert explanation.at == "2027-01-15T08:01:00.000Z"

    def test_who_will_be_dropped_and_when(self) -> None:
        registry = registry_with(FakeClock(), A=[SILENT], B=[ALIVE] * 3)

        told = application(registry, "A")

        assert (told.instances, told.silent, told.kept) == (1, 1, 0)
        assert "an application that dies whole is believed to be dead" in told.why
        [instance] = told.silent_instances
        assert (instance.id, instance.silent_seconds, instance.fate) == ("A-0", 11, "evicted")
        assert instance.lease_ends_at == instance.evicted_at == "2027-01-15T08:01:04.000Z"
        assert instance.kept_since is None

    def test_who_is_kept_since_when_and_until_when_at_most(self) -> None:
        registry = registry_with(FakeClock(), A=[RUN_OUT] * 2 + [SILENT + 1] * 4 + [ALIVE] * 4)
        registry.sweep()

        told = application(registry, "A")

        assert (told.instances, told.silent, told.kept) == (10, 6, 6)
        assert told.why.startswith("6 of its 10 instances went silent within 5 s of each other")
        first, last = told.silent_instances[0], told.silent_instances[-1]
        assert (first.fate, first.kept_since) == ("kept", "2027-01-15T08:00:59.000Z")
        assert first.evicted_at == "2027-01-15T08:01:59.000Z"
        assert (last.fate, last.kept_since) == ("kept", None)

    def test_when_all_are_kept_there_is_no_end_to_tell(self) -> None:
        registry = registry_with(FakeClock(), A=[RUN_OUT] * 5, B=[RUN_OUT] * 5)

        explanation = explain(registry)

        assert explanation.network is not None
        assert explanation.network.startswith("10 of all 10 instances, of 2 applications, are silent")
        assert {one.evicted_at for each in explanation.applications for one in each.silent_instances} == {None}

    def test_what_is_told_is_what_the_sweep_does(self) -> None:
        time = FakeClock()
        registry = registry_with(
            time, A=[RUN_OUT] * 6 + [ALIVE] * 4, B=[RUN_OUT, ALIVE], C=[RUN_OUT] * 12, D=[ALIVE] * 30
        )
        told = {one.id: one.fate for each in explain(registry).applications for one in each.silent_instances}

        evicted = {instance.key for instance in registry.sweep().evicted}

        assert evicted == {key for key, fate in told.items() if fate == "evicted"}
        assert {key for _, key in registry.kept} == {key for key, fate in told.items() if fate == "kept"}

    def test_with_eurekas_two_durations_the_lease_is_twice_as_long(self) -> None:
        registry = registry_with(FakeClock(), lease_factor=2.0, A=[RUN_OUT], B=[ALIVE])

        [instance] = application(registry, "A").silent_instances

        assert instance.lease_seconds == 30
        assert instance.lease_ends_at == "2027-01-15T08:01:14.000Z"

    def test_of_very_many_the_longest_silent_are_named(self) -> None:
        told = application(registry_with(FakeClock(), A=[SILENT + 1] * 150 + [SILENT + 2]), "A")

        assert told.silent == 151
        assert len(told.silent_instances) == 100
        assert told.silent_instances[0].id == "A-150"

    def test_what_a_health_check_said_is_told(self) -> None:
        registry = registry_with(FakeClock(), A=[SILENT])

        [told] = explain(registry, lambda app, key: Outcome.NOTHING).applications

        assert told.silent_instances[0].health_check is Outcome.NOTHING


class TestTheServer:
    async def test_who_may_read_gets_it_as_json(self) -> None:
        async with running_server(credentials={"orders": "pw"}) as server, httpx.AsyncClient() as client:
            refused = await client.get(f"{server.url}/discovery/preservation")
            answer = await client.get(f"{server.url}/discovery/preservation", auth=("orders", "pw"))

        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()
        assert document["rules"] == {"enabled": True, "minimum": 10, "share": 0.5, "limit_seconds": 600.0}
        assert (document["network"], document["applications"]) == (None, [])

"""The sweeper, and what it tells Prometheus."""

import asyncio
import logging

import httpx
import pytest
from chassis.supervisor import Supervisor
from chassis.testing.waiting import until
from prometheus_client import REGISTRY
from support.clock import FakeClock
from support.instances import an_instance
from support.server import RunningServer

from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry
from discovery_server.upkeep.sweeper import sweep_for_ever


async def sweep_until_quiet(registry: Registry) -> None:
    """Let the sweeper look a few times."""
    supervisor = Supervisor()
    supervisor.start("sweeper", lambda: sweep_for_ever(registry, pause_seconds=0))
    for _ in range(5):
        await asyncio.sleep(0)
    await supervisor.stop()


def gauge(app: str, status: str) -> float | None:
    return REGISTRY.get_sample_value("discovery_instances", {"app": app, "status": status})


async def test_instances_are_counted_by_application_and_status() -> None:
    registry = Registry(FakeClock().clock)
    registry.register(an_instance("COUNTED", "a"))
    registry.register(an_instance("COUNTED", "b"))
    registry.register(an_instance("COUNTED", "c", status=Status.DOWN))
    await sweep_until_quiet(registry)
    assert (gauge("COUNTED", "UP"), gauge("COUNTED", "DOWN")) == (2, 1)

    for key in "abc":
        registry.cancel("COUNTED", key)
    await sweep_until_quiet(registry)
    assert gauge("COUNTED", "UP") is None


async def test_an_eviction_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    time = FakeClock()
    registry = Registry(time.clock)
    registry.register(an_instance("EVICTED", "e1", duration=3))
    time.advance(3.5)

    await sweep_until_quiet(registry)

    assert "e1 of EVICTED has not renewed its lease of 3 s and is dropped" in caplog.text
    sample = REGISTRY.get_sample_value("discovery_evictions_total", {"app": "EVICTED", "reason": "ran-out"})
    assert sample == 1


def kept(app: str) -> float | None:
    return REGISTRY.get_sample_value("discovery_preserved_instances", {"app": app})


async def test_preservation_is_logged_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    time = FakeClock()
    registry = Registry(time.clock)
    for number in range(20):
        registry.register(an_instance("AB"[number % 2], f"i{number}", duration=3))
    time.advance(3.5)

    await sweep_until_quiet(registry)
    assert caplog.text.count("20 instances of A, B ran out and are kept: 20 of all 20 instances") == 1
    assert (kept("A"), kept("B")) == (10, 10)

    for number in range(20):
        registry.renew("AB"[number % 2], f"i{number}")
    await sweep_until_quiet(registry)
    assert kept("A") is None


async def test_each_application_that_is_preserved_is_told_with_its_own_reason(caplog: pytest.LogCaptureFixture) -> None:
    time = FakeClock()
    registry = Registry(time.clock)
    for number in range(60):
        registry.register(an_instance("AAAABB"[number % 6], f"i{number}", duration=3))
    supervisor = Supervisor()
    supervisor.start("sweeper", lambda: sweep_for_ever(registry, pause_seconds=0))

    async def pass_seconds(seconds: float, *, silent: int) -> None:
        """The first ones of A do not renew."""
        for _ in range(round(seconds / 0.5)):
            time.advance(0.5)
            for instance in registry.application("A")[silent:] + registry.application("B"):
                registry.renew(instance.app, instance.key)
            for _ in range(3):
                await asyncio.sleep(0)

    try:
        await pass_seconds(4, silent=25)
        assert "25 instances of A ran out and are kept: 25 of its 40 instances went silent within" in caplog.text
        assert (kept("A"), kept("B")) == (25, None)
        await pass_seconds(1, silent=0)
        assert caplog.text.count("nothing of A is kept any more") == 1
        assert not registry.departures
    finally:
        await supervisor.stop()


async def test_many_applications_are_not_all_named(caplog: pytest.LogCaptureFixture) -> None:
    time = FakeClock()
    registry = Registry(time.clock)
    for number in range(20):
        registry.register(an_instance(f"APP-{number:02}", "i", duration=3))
    time.advance(3.5)

    await sweep_until_quiet(registry)

    assert "20 instances of APP-00, APP-01, APP-02, APP-03, APP-04 and 15 more ran out and are kept" in caplog.text


async def test_a_running_server_shows_its_instances_as_metrics(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    server.registry.register(an_instance("SCRAPED"))

    async def shows() -> bool:
        answer = await client.get(f"{server.url}/actuator/prometheus")
        return 'discovery_instances{app="SCRAPED",status="UP"} 1.0' in answer.text

    await until(shows)
    assert (await client.get(f"{server.url}/actuator/health")).json()["status"] == "UP"

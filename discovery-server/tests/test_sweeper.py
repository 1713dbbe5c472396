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

from discovery_server.instance import Status
from discovery_server.registry import Registry
from discovery_server.sweeper import sweep_for_ever


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
    assert REGISTRY.get_sample_value("discovery_evictions_total", {"app": "EVICTED"}) == 1


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
    assert caplog.text.count("20 instances that ran out are kept") == 1
    assert REGISTRY.get_sample_value("discovery_preserved_instances") == 20


async def test_a_running_server_shows_its_instances_as_metrics(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    server.registry.register(an_instance("SCRAPED"))

    async def shows() -> bool:
        answer = await client.get(f"{server.url}/actuator/prometheus")
        return 'discovery_instances{app="SCRAPED",status="UP"} 1.0' in answer.text

    await until(shows)
    assert (await client.get(f"{server.url}/actuator/health")).json()["components"] == {"sweeper": {"status": "UP"}}

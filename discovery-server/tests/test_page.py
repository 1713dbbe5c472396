"""The page for people."""

import httpx
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import RunningServer

from discovery_server.page import write_page
from discovery_server.registry import Registry


async def test_it_lists_instances_with_status_and_links(server: RunningServer, client: httpx.AsyncClient) -> None:
    await client.post("apps/ORDERS", json=a_registration(homePageUrl="http://h.test:8080/"))
    await client.put("apps/ORDERS/o1/status", params={"value": "OUT_OF_SERVICE"})

    page = await client.get(server.url)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for text in ("ORDERS", "o1", "OUT_OF_SERVICE (overridden)", 'href="http://h.test:8080/"', "1 instances of 1"):
        assert text in page.text


async def test_nothing_that_a_client_sent_runs_in_it(server: RunningServer, client: httpx.AsyncClient) -> None:
    script = "<script>alert(1)</script>"
    body = a_registration(
        "<B>", script, homePageUrl="javascript:alert(1)", statusPageUrl=f'http://h/"{script}', healthCheckUrl=script
    )
    assert (await client.post("apps/%3CB%3E", json=body)).status_code == 204

    page = (await client.get(server.url)).text

    assert "<script" not in page
    assert "javascript:" not in page
    assert "<B>" not in page
    assert "&lt;script&gt;" in page


def test_it_says_when_instances_are_preserved() -> None:
    time = FakeClock()
    registry = Registry(time.clock)
    for number in range(12):
        registry.register(an_instance("AB"[number % 2], f"i{number}", duration=3))
    assert "are kept" not in write_page(registry)

    time.advance(3.5)
    registry.sweep()

    assert "12 of these have let their lease run out and are kept: more than 50%" in write_page(registry)

"""The hint that new instances are given."""

import httpx
from support.instances import a_registration, an_instance
from support.server import running_server

from discovery_server.upkeep.slow_start import with_hint


async def test_a_registration_gets_the_hint_unless_it_brings_its_own() -> None:
    async with running_server(slow_start_seconds=20) as server, httpx.AsyncClient(base_url=server.eureka) as client:
        await client.post("apps/ORDERS", json=a_registration(key="plain", metadata={"zone": "z1"}))
        own = a_registration(key="own", metadata={"slow-start-seconds": "5"})
        await client.post("apps/ORDERS", json=own)

        assert server.registry.instance("ORDERS", "plain").metadata == {"zone": "z1", "slow-start-seconds": "20"}
        assert server.registry.instance("ORDERS", "own").metadata == {"slow-start-seconds": "5"}


def test_zero_seconds_change_nothing() -> None:
    instance = an_instance()

    assert with_hint(instance, 0) is instance

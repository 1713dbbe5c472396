"""A real Eureka server and ours as each other's peers: what clients tell one of them, the other knows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from support.instances import a_registration
from support.server import running_server

from .java_programs import eureka_server

JSON = {"Accept": "application/json"}
# Eureka gathers for half a second before it tells a peer, and waits for a second after a peer did not answer.
PATIENCE_SECONDS = 15.0
# Eureka puts a renewal off as long as another of the same instance comes within that half second.
RENEWAL_SECONDS = 1.0


@dataclass
class Peers:
    """The base URLs of both, and a client."""

    ours: str
    real: str
    client: httpx.AsyncClient

    async def sees(self, base: str, key: str) -> dict[str, Any] | None:
        answer = await self.client.get(f"{base}apps/REPLICATED/{key}", headers=JSON)
        found: dict[str, Any] | None = answer.json()["instance"] if answer.status_code == 200 else None
        return found

    async def statuses(self, key: str) -> list[tuple[str, str] | None]:
        """The status and the overriding one, as each has it; ours first."""
        seen = [await self.sees(base, key) for base in (self.ours, self.real)]
        return [(one["status"], one["overriddenStatus"]) if one is not None else None for one in seen]

    async def until_both_have(self, key: str, status: tuple[str, str] | None) -> None:
        async def both_have() -> bool:
            return await self.statuses(key) == [status, status]

        try:
            await until(both_have, timeout_seconds=PATIENCE_SECONDS)
        except TimeoutError:
            pytest.fail(f"both should have {status} for {key}, and have {await self.statuses(key)}")

    async def register(self, base: str, key: str, **fields: Any) -> None:
        answer = await self.client.post(f"{base}apps/REPLICATED", json=registration(key, **fields))
        assert answer.status_code == 204

    async def renew(self, base: str, key: str) -> None:
        stamp = {"status": "UP", "lastDirtyTimestamp": "1000"}
        await self.client.put(f"{base}apps/REPLICATED/{key}", params=stamp)


def registration(key: str, **fields: Any) -> dict[str, Any]:
    return a_registration("REPLICATED", key, duration=90, metadata={"zone": "z1"}, **fields)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peers(program: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peers]:
    """The real one has an instance before ours starts."""
    log = tmp_path_factory.mktemp("eureka") / "log"
    listener = free_socket()
    ours_url = f"http://127.0.0.1:{listener.getsockname()[1]}/eureka/"
    settings: dict[str, Any] = {"eureka.client.service-url.defaultZone": ours_url}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        eureka_server(program, log, **settings) as real,
    ):
        answer = await client.post(f"{real}apps/REPLICATED", json=registration("early"))
        assert answer.status_code == 204
        async with running_server(listener=listener, peers=real, peer_interval_seconds=1) as ours:
            met = Peers(ours.eureka, real, client)
            yield met


async def test_what_the_real_server_knew_is_known_before_ours_is_read(peers: Peers) -> None:
    async def is_read() -> bool:
        return (await peers.client.get(f"{peers.ours}apps")).status_code == 200

    await until(is_read)

    assert await peers.sees(peers.ours, "early") is not None


@pytest.mark.parametrize("told", ["ours", "real"])
async def test_what_one_is_told_both_know(peers: Peers, told: str) -> None:
    base, key = getattr(peers, told), f"told-{told}"

    await peers.register(base, key)
    await peers.until_both_have(key, ("UP", "UNKNOWN"))

    await peers.client.put(f"{base}apps/REPLICATED/{key}/status", params={"value": "OUT_OF_SERVICE"})
    await peers.until_both_have(key, ("OUT_OF_SERVICE", "OUT_OF_SERVICE"))

    await peers.register(base, key, lastDirtyTimestamp="2000")  # the client comes again, and stays out of service
    await peers.until_both_have(key, ("OUT_OF_SERVICE", "OUT_OF_SERVICE"))

    await peers.client.delete(f"{base}apps/REPLICATED/{key}/status", params={"value": "UP"})
    await peers.until_both_have(key, ("UP", "UNKNOWN"))

    await peers.register(base, key, lastDirtyTimestamp="3000", status="DOWN")
    await peers.until_both_have(key, ("DOWN", "UNKNOWN"))

    await peers.client.delete(f"{base}apps/REPLICATED/{key}")
    await peers.until_both_have(key, None)


async def test_an_instance_is_the_same_at_both_but_for_the_servers_stamps(peers: Peers) -> None:
    await peers.register(peers.ours, "same")
    await peers.until_both_have("same", ("UP", "UNKNOWN"))

    ours, real = [await peers.sees(base, "same") for base in (peers.ours, peers.real)]

    assert ours is not None
    assert real is not None
    for one in (ours, real):
        one["leaseInfo"] = {name: one["leaseInfo"][name] for name in ("renewalIntervalInSecs", "durationInSecs")}
        del one["lastUpdatedTimestamp"], one["actionType"]
    assert ours == real


@pytest.mark.parametrize("told", ["ours", "real"])
async def test_a_renewal_that_one_hears_registers_the_instance_where_it_is_lost(peers: Peers, told: str) -> None:
    base = getattr(peers, told)
    other = peers.real if told == "ours" else peers.ours
    key = f"lost-{told}"
    await peers.register(base, key)
    await peers.until_both_have(key, ("UP", "UNKNOWN"))
    replicated = {"x-netflix-discovery-replication": "true"}
    await peers.client.delete(f"{other}apps/REPLICATED/{key}", headers=replicated)
    assert await peers.sees(other, key) is None

    async def is_back() -> bool:
        await peers.renew(base, key)
        await asyncio.sleep(RENEWAL_SECONDS)
        return await peers.sees(other, key) is not None

    await until(is_back, timeout_seconds=PATIENCE_SECONDS)


async def test_of_two_that_differ_both_take_the_one_that_changed_later(peers: Peers) -> None:
    await peers.register(peers.ours, "changed", lastDirtyTimestamp="1000")
    await peers.until_both_have("changed", ("UP", "UNKNOWN"))
    replicated = {"x-netflix-discovery-replication": "true", "Content-Type": "application/json"}
    newer = registration("changed", lastDirtyTimestamp="5000", hostName="newer.test")
    answer = await peers.client.post(f"{peers.real}apps/REPLICATED", json=newer, headers=replicated)
    assert answer.status_code == 204

    async def is_taken() -> bool:
        await peers.renew(peers.ours, "changed")
        await asyncio.sleep(RENEWAL_SECONDS)
        ours = await peers.sees(peers.ours, "changed")
        return ours is not None and ours["hostName"] == "newer.test"

    await until(is_taken, timeout_seconds=PATIENCE_SECONDS)

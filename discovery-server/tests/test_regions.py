"""Other regions' registries: shown to who asks for them by name, kept as they were while they are away."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis.settings import SettingsInvalid
from chassis.testing.waiting import until
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.peers.regions import RegionCopy
from discovery_server.registry.instance import Action, LeaseInfo, Status
from discovery_server.settings import DiscoverySettings

CREDENTIALS = {"orders": "its.password"}


@pytest_asyncio.fixture
async def remote() -> AsyncIterator[RunningServer]:
    async with running_server(credentials=CREDENTIALS) as server:
        yield server


@pytest_asyncio.fixture
async def client(remote: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """Of a server that looks at `remote` as the region us-east-1, twenty times a second."""
    url = remote.eureka.replace("http://", "http://orders:its.password@")
    regions = {"US-East-1": url, "nowhere": "http://127.0.0.1:1/eureka"}
    async with (
        running_server(remote_regions=regions, region_interval_seconds=0.05) as server,
        httpx.AsyncClient(base_url=server.eureka, headers={"Accept": "application/json"}) as client,
    ):
        yield client


async def read(client: httpx.AsyncClient, path: str) -> dict[str, list[str]]:
    """The ids by application."""
    document: dict[str, Any] = (await client.get(path)).json()["applications"]
    return {app["name"]: [instance["instanceId"] for instance in app["instance"]] for app in document["application"]}


async def sees(client: httpx.AsyncClient, path: str, expected: dict[str, list[str]]) -> None:
    async def is_so() -> bool:
        return await read(client, path) == expected

    await until(is_so)


class TestRegionsOfARequest:
    async def test_a_region_that_is_named_is_shown_as_well(
        self, remote: RunningServer, client: httpx.AsyncClient
    ) -> None:
        remote.registry.register(an_instance(key="there"))
        remote.registry.register(an_instance("BILLS", "b1"))
        await client.post("apps/ORDERS", json=a_registration(key="here"))

        await sees(client, "apps?regions=us-east-1", {"ORDERS": ["here", "there"], "BILLS": ["b1"]})
        assert await read(client, "apps?regions=nobody,US-EAST-1,nowhere") == {
            "ORDERS": ["here", "there"],
            "BILLS": ["b1"],
        }
        assert await read(client, "apps") == {"ORDERS": ["here"]}
        assert await read(client, "apps?regions=nobody") == {"ORDERS": ["here"]}
        assert await read(client, "vips/bills?regions=us-east-1") == {"BILLS": ["b1"]}

    async def test_the_hash_code_and_the_tag_are_of_all_that_is_shown(
        self, remote: RunningServer, client: httpx.AsyncClient
    ) -> None:
        remote.registry.register(an_instance(key="there", status=Status.DOWN))
        await client.post("apps/ORDERS", json=a_registration(key="here"))
        await sees(client, "apps?regions=us-east-1", {"ORDERS": ["here", "there"]})

        for path in ("apps", "apps/delta"):
            answer = await client.get(f"{path}?regions=us-east-1")
            alone = await client.get(path)

            assert answer.json()["applications"]["apps__hashcode"] == "DOWN_1_UP_1_"
            assert alone.json()["applications"]["apps__hashcode"] == "UP_1_"
            assert answer.headers["etag"] != alone.headers["etag"]

    async def test_what_changes_there_is_in_the_delta(self, remote: RunningServer, client: httpx.AsyncClient) -> None:
        async def told() -> dict[str, tuple[str, str]]:
            document = (await client.get("apps/delta?regions=us-east-1")).json()["applications"]
            return {
                instance["instanceId"]: (instance["status"], instance["actionType"])
                for app in document["application"]
                for instance in app["instance"]
            }

        async def tells(**expected: tuple[str, str]) -> None:
            async def is_so() -> bool:
                return await told() == expected

            await until(is_so)

        remote.registry.register(an_instance(key="there"))
        await tells(there=("UP", "ADDED"))
        remote.registry.override_status("ORDERS", "there", Status.OUT_OF_SERVICE)
        await tells(there=("OUT_OF_SERVICE", "MODIFIED"))
        remote.registry.cancel("ORDERS", "there")
        await tells(there=("OUT_OF_SERVICE", "DELETED"))

    async def test_while_a_region_is_away_what_was_there_last_is_shown(self) -> None:
        gone = socket.create_server(("127.0.0.1", 0))
        address = gone.getsockname()
        url = f"http://127.0.0.1:{address[1]}/eureka"
        async with (
            running_server(remote_regions={"west": url}, region_interval_seconds=0.05) as server,
            httpx.AsyncClient(base_url=server.eureka, headers={"Accept": "application/json"}) as client,
        ):
            async with running_server(listener=gone) as there:
                there.registry.register(an_instance(key="w1"))
                await sees(client, "apps?regions=west", {"ORDERS": ["w1"]})
            assert await read(client, "apps?regions=west") == {"ORDERS": ["w1"]}

            again = socket.create_server(address)
            async with running_server(listener=again) as there:
                there.registry.register(an_instance(key="w2"))
                await sees(client, "apps?regions=west", {"ORDERS": ["w2"]})


class TestRegionCopy:
    def test_changes_are_told_for_as_long_as_our_own(self) -> None:
        clock = FakeClock()
        copy = RegionCopy("west", delta_retention_seconds=180, clock=clock.clock)
        copy.take([an_instance(key="w1")])
        clock.advance(100)
        copy.take([an_instance(key="w1"), an_instance(key="w2")])
        before = copy.version

        clock.advance(81)
        copy.forget_old_changes()

        assert [instance.key for instance in copy.changes()] == ["w2"]
        assert copy.version > before
        assert len(copy.instances()) == 2

    def test_a_renewal_is_no_change(self) -> None:
        copy = RegionCopy("west", delta_retention_seconds=180, clock=FakeClock().clock)
        copy.take([an_instance()])
        before = copy.version

        copy.take([replace(an_instance(), lease=LeaseInfo(5, 15, renewed_ms=5))])

        assert copy.version == before
        assert [instance.action for instance in copy.changes()] == [Action.ADDED]


class TestSettings:
    @pytest.mark.parametrize(
        "regions", [{"": "http://h/eureka"}, {"a,b": "http://h/eureka"}, {"a": "h"}, {"a": "http://h", "A": "http://i"}]
    )
    def test_regions_that_can_not_be_are_refused(self, regions: dict[str, str]) -> None:
        with pytest.raises(SettingsInvalid, match="REMOTE_REGIONS"):
            DiscoverySettings.of({"discovery-server.anonymous": True, "discovery-server.remote-regions": regions})

    def test_their_passwords_are_secrets(self) -> None:
        settings = DiscoverySettings.of(
            {
                "discovery-server.anonymous": True,
                "discovery-server.remote-regions": {"west": "http://me:hidden@h/eureka"},
            }
        )

        assert "hidden" in dict(settings.secrets()).values()
        assert "hidden" not in repr(settings)

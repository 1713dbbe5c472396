"""The registry as its users see it: pushed, asked for, kept while servers are away, doubted when they know nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from support.demo import DemoSettings

from chassis.discovery import Instance, NoInstance, Registry, resolve
from chassis.supervisor import Supervisor
from chassis.testing.discovery import FakeDiscovery, fake_discovery
from chassis.testing.waiting import until


@asynccontextmanager
async def following(*servers: FakeDiscovery, doubt_seconds: float = 30.0) -> AsyncIterator[Registry]:
    """A registry that has been read from one of these servers."""
    urls = ", ".join(server.url for server in servers)
    settings = DemoSettings(discovery_url=urls, discovery_poll_seconds=0.05)
    registry, supervisor = Registry(settings, doubt_seconds=doubt_seconds), Supervisor()
    supervisor.start("registry", registry.run)
    try:
        assert await registry.wait_until_read()
        yield registry
        assert supervisor.failing() == []
    finally:
        await supervisor.stop()


def ports(registry: Registry, service: str = "orders") -> list[int]:
    return [instance.port for instance in registry.instances(service)]


async def become(registry: Registry, *wanted: int, service: str = "orders") -> None:
    await until(lambda: ports(registry, service) == list(wanted))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[dict[str, FakeDiscovery]]:
    """Served all the while, since stopping takes uvicorn a moment."""
    async with fake_discovery(streams=True) as pushing, fake_discovery() as polled:
        yield {"pushed": pushing, "polled": polled}


@pytest.fixture(params=["pushed", "polled"])
def discovery(request: pytest.FixtureRequest, servers: dict[str, FakeDiscovery]) -> FakeDiscovery:
    """One that pushes, and one that has to be asked as a real Eureka server has."""
    servers[request.param].reset()
    return servers[request.param]


@pytest.fixture
def pushing(servers: dict[str, FakeDiscovery]) -> FakeDiscovery:
    servers["pushed"].reset()
    return servers["pushed"]


class TestFollowing:
    async def test_who_is_up_is_known_by_name_in_any_case(self, discovery: FakeDiscovery) -> None:
        discovery.put("orders", 2, zone="east", up_since_ms=1234)
        discovery.put("orders", 1)
        discovery.put("orders", 3, status="OUT_OF_SERVICE")
        discovery.put("stock", 4, status="STARTING")

        async with following(discovery) as registry:
            found = registry.instances("ORDERS")

            assert found == (
                Instance("orders", "127.0.0.1:orders:1", "127.0.0.1", 1),
                Instance("orders", "127.0.0.1:orders:2", "127.0.0.1", 2),
            )
            assert (found[1].metadata, found[1].up_since_ms) == ({"zone": "east"}, 1234)
            assert registry.services() == ("orders",)

    async def test_who_comes_changes_and_goes_is_noticed(self, discovery: FakeDiscovery) -> None:
        async with following(discovery) as registry:
            discovery.put("orders", 1)
            discovery.put("stock", 9)
            await become(registry, 1)

            discovery.put("orders", 2)
            await become(registry, 1, 2)

            discovery.put("orders", 1, status="DOWN")
            await become(registry, 2)

            discovery.put("orders", 1, note="back")
            await become(registry, 1, 2)
            assert registry.instances("orders")[0].metadata == {"note": "back"}

            discovery.remove("orders", 1)
            discovery.remove("orders", 2)
            await become(registry)
            assert registry.services() == ("stock",)

    async def test_what_was_known_stays_while_discovery_is_away_and_is_corrected_after_it_d7(
        self, discovery: FakeDiscovery
    ) -> None:
        discovery.put("orders", 1)
        async with following(discovery) as registry:
            await become(registry, 1)

            discovery.is_away = True
            discovery.hang_up()
            await until(lambda: discovery.listeners == 0)
            discovery.remove("orders", 1)
            discovery.put("orders", 2)
            assert not await _happens(lambda: ports(registry) != [1])

            discovery.is_away = False
            await become(registry, 2)

    async def test_the_age_of_what_is_known_is_told(self, discovery: FakeDiscovery) -> None:
        async with following(discovery):
            age = REGISTRY.get_sample_value("discovery_registry_age_seconds")

        assert age is not None
        assert 0 <= age < 3


class TestStream:
    async def test_nobody_polls_who_is_told(self, pushing: FakeDiscovery) -> None:
        async with following(pushing) as registry:
            pushing.put("orders", 1)
            await become(registry, 1)

            assert pushing.reads == 0

    async def test_a_stream_that_ends_is_taken_up_where_it_ended(self, pushing: FakeDiscovery) -> None:
        async with following(pushing) as registry:
            pushing.put("orders", 1)
            pushing.say(b": keep-alive\nid: 77\n\n")
            await become(registry, 1)

            pushing.hang_up()

            await until(lambda: len(pushing.last_event_ids) == 2)
            assert pushing.last_event_ids == ["", "77"]

    @pytest.mark.parametrize("nonsense", ["{", '{"instance": []}', '{"action": "ADDED", "instance": {"app": "A"}}'])
    async def test_what_is_not_understood_makes_everything_be_read_anew(
        self, pushing: FakeDiscovery, nonsense: str
    ) -> None:
        async with following(pushing) as registry:
            pushing.put("orders", 1)
            await become(registry, 1)

            pushing.say(f"event: change\nid: 8\ndata: {nonsense}\n\n".encode())

            await until(lambda: len(pushing.last_event_ids) == 2)
            assert pushing.last_event_ids == ["", ""]
            pushing.put("orders", 2)
            await become(registry, 1, 2)

    async def test_events_of_other_kinds_are_for_others(self, pushing: FakeDiscovery) -> None:
        async with following(pushing) as registry:
            pushing.say(b"event: weather\ndata: rain\n\ndata: {}\n\n")
            pushing.put("orders", 1)
            await become(registry, 1)

            assert len(pushing.last_event_ids) == 1


class TestNobodyThere:
    """A server that knows nobody is more likely new than right."""

    async def test_an_empty_answer_is_doubted_and_who_registers_meanwhile_is_known_as_well(
        self, discovery: FakeDiscovery
    ) -> None:
        discovery.put("orders", 1)
        discovery.put("stock", 9)
        async with following(discovery) as registry:
            await become(registry, 1)

            discovery.forget()
            discovery.hang_up()
            assert not await _happens(lambda: ports(registry) != [1])
            discovery.put("orders", 2)
            await become(registry, 1, 2)
            discovery.put("orders", 1, status="DOWN")
            await become(registry, 2)

            assert ports(registry, "stock") == [9]

    async def test_it_is_believed_in_the_end(self, discovery: FakeDiscovery) -> None:
        discovery.put("orders", 1)
        async with following(discovery, doubt_seconds=0.3) as registry:
            await become(registry, 1)
            discovery.forget()
            discovery.hang_up()
            # A stream says something now and then; here it is this.
            keep_alive = asyncio.create_task(_say_again_and_again(discovery, b": keep-alive\n\n"))

            await become(registry)

            keep_alive.cancel()

    async def test_that_the_last_one_leaves_is_believed_at_once(self, pushing: FakeDiscovery) -> None:
        async with following(pushing) as registry:
            pushing.put("orders", 1)
            await become(registry, 1)

            pushing.remove("orders", 1)

            await become(registry)


class TestSeveralServers:
    async def test_the_next_is_read_when_one_is_away(self, discovery: FakeDiscovery) -> None:
        async with fake_discovery(streams=discovery.streams) as other:
            for server in (discovery, other):
                server.put("orders", 1)
            async with following(discovery, other) as registry:
                discovery.is_away = True
                discovery.hang_up()
                other.put("orders", 2)

                await become(registry, 1, 2)

    async def test_it_stays_with_the_one_that_works(self) -> None:
        async with fake_discovery(streams=True) as one, fake_discovery(streams=True) as other:
            one.is_away = True
            async with following(one, other) as registry:
                one.is_away = False
                other.put("orders", 1)
                await become(registry, 1)

                other.hang_up()

                await until(lambda: len(other.last_event_ids) == 2)
                assert one.last_event_ids == []

    async def test_a_server_that_takes_the_call_and_says_nothing_is_given_up(
        self, pushing: FakeDiscovery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chassis.discovery.registry.TIMEOUT_SECONDS", 0.2)
        pushing.put("orders", 1)
        mute = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
        port = mute.sockets[0].getsockname()[1]
        settings = DemoSettings(discovery_url=f"http://127.0.0.1:{port},{pushing.url}")
        registry, supervisor = Registry(settings), Supervisor()
        supervisor.start("registry", registry.run)

        await become(registry, 1)

        await supervisor.stop()
        mute.close()


async def test_an_lb_url_is_resolved_to_an_instance_that_is_up(discovery: FakeDiscovery) -> None:
    discovery.put("orders", 1)
    async with following(discovery) as registry:
        assert await resolve("lb://orders/a/b?c=d", registry) == "http://127.0.0.1:1/a/b?c=d"
        assert await resolve("http://elsewhere/", None) == "http://elsewhere/"
        with pytest.raises(NoInstance, match="no instance of stock"):
            await resolve("lb://stock/", registry)
        with pytest.raises(NoInstance, match="DISCOVERY_URL is not set"):
            await resolve("lb://orders/", None)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the other side hangs up
    writer.close()


async def _happens(condition: Callable[[], bool]) -> bool:
    """Whether something that must not be is, within a few polls."""
    try:
        await until(condition, timeout_seconds=0.4)
    except TimeoutError:
        return False
    return True


async def _say_again_and_again(discovery: FakeDiscovery, event: bytes) -> None:
    while True:
        discovery.say(event)
        await asyncio.sleep(0.05)

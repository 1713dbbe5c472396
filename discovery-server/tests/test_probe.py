"""Instances whose renewal is overdue are asked, over real sockets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx
import pytest
from chassis.supervisor import Supervisor
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import running_server

from discovery_server.registry.instance import Instance
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry
from discovery_server.upkeep.health_check import HealthCheck, Outcome, ProbeRules, is_askable, own_url
from discovery_server.upkeep.probe import Prober

RULES = ProbeRules(interval_seconds=2, timeout_seconds=0.3, keep_seconds=60, own_machine=True)


class Health:
    """The health endpoint of one instance, and what was asked of it."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.requests: list[bytes] = []
        self.url = ""

    def was_asked(self, times: int) -> Callable[[], bool]:
        return lambda: len(self.requests) == times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        if self.answer:
            writer.close()
        else:
            await reader.read()  # until the other one has had enough
            writer.close()


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    health = Health()
    server = await asyncio.start_server(health.serve, "127.0.0.1", 0)
    health.url = "http://127.0.0.1:{}/actuator/health".format(*server.sockets[0].getsockname()[1:])
    async with server:
        yield health


@asynccontextmanager
async def probing(registry: Registry, rules: ProbeRules = RULES) -> AsyncIterator[Prober]:
    prober, supervisor = Prober(registry, rules), Supervisor()
    supervisor.start("prober", prober.run)
    try:
        yield prober
    finally:
        await supervisor.stop()


def closed_port() -> int:
    with free_socket() as listener:
        return int(listener.getsockname()[1])


def at(url: str, app: str = "ORDERS", key: str = "o1") -> Instance:
    return an_instance(app, key, health_check_url=url)


def keys(registry: Registry) -> set[str]:
    return {instance.key for instances in registry.applications().values() for instance in instances}


class TestWhatIsAsked:
    async def test_who_renews_in_time_is_not(self, registry: Registry, time: FakeClock, health: Health) -> None:
        registry.register(at(health.url))
        registry.register(at(health.url.replace("actuator", "late"), key="late"))
        time.advance(7.4)
        registry.renew("ORDERS", "o1")
        time.advance(0.2)

        async with probing(registry):
            await until(lambda: health.requests)
            await asyncio.sleep(0)

        assert [request.split()[1] for request in health.requests] == [b"/late/health"]

    async def test_each_once_in_an_interval(self, registry: Registry, time: FakeClock, health: Health) -> None:
        health.answer = b"HTTP/1.1 503 \r\n\r\n"
        registry.register(at(health.url))
        time.advance(8)

        async with probing(registry) as prober:
            await until(lambda: prober.finding("ORDERS", "o1"))
            for number in range(2, 4):
                asked = len(health.requests)
                assert asked == number - 1
                time.advance(1.9)
                for _ in range(50):
                    prober._look()
                assert len(prober._asking) == 0
                time.advance(0.2)
                await until(health.was_asked(number))
                await until(lambda: not prober._asking)

    async def test_the_request_is_plain_and_names_the_host(self, health: Health) -> None:
        await HealthCheck(timeout_seconds=1, own_machine=True).ask(at(f"{health.url}?a=b c#d"))

        assert health.requests[0].startswith(b"GET /actuator/health?a=b%20c HTTP/1.1\r\nHost: 127.0.0.1:")
        assert health.requests[0].count(b"\r\n") == 5

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "",
            "http://other.test:8080/health",
            "http://169.254.169.254/latest/meta-data",
            "ftp://h.test/health",
            "file:///etc/passwd",
            "/health",
            "http://h.test:0/health",
            "http://h.test@other.test/health",
            "http://user:password@h.test/health",
            "http://h.test.other.test/",
            "http://h.test:99999/",
            "http://[::1/",
            "http://h.test\r\nX: y/",
            "javascript:alert(1)",
            "http://xn--/",
        ],
    )
    def test_nothing_but_the_instance_itself_is(self, url: str | None) -> None:
        assert own_url(an_instance(health_check_url=url)) is None

    @pytest.mark.parametrize(
        "url", ["http://h.test:8080/health", "https://H.TEST/health", "http://127.0.0.1:1/", "http://h.test./health"]
    )
    def test_its_host_name_and_its_address_are(self, url: str) -> None:
        assert own_url(an_instance(health_check_url=url)) is not None

    def test_where_only_the_secure_url_is_told_that_is(self) -> None:
        instance = an_instance(health_check_url="", secure_health_check_url="https://h.test:8443/health")

        assert str(own_url(instance)) == "https://h.test:8443/health"

    @pytest.mark.parametrize(
        ("address", "askable"),
        [
            ("10.1.2.3", True),
            ("203.0.113.7", True),
            ("2001:db8::7", True),
            ("fd12::7", True),
            ("169.254.169.254", False),
            ("::ffff:169.254.169.254", False),
            ("fe80::1", False),
            ("fd00:ec2::254", False),
            ("100.100.100.200", False),
            ("168.63.129.16", False),
            ("0.0.0.0", False),
            ("::", False),
            ("224.0.0.1", False),
            ("127.0.0.1", False),
            ("127.8.8.8", False),
            ("::1", False),
            ("::ffff:127.0.0.1", False),
        ],
    )
    def test_no_metadata_service_no_group_and_not_this_machine_is(self, address: str, askable: bool) -> None:
        assert is_askable(ip_address(address), own_machine=False) is askable

    @given(
        st.sampled_from(["", "http://", "https://", "http://h.test", "http://h.test:", "http://[", "http://xn--"]),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
    def test_whatever_is_registered_fails_nobody_and_ends_no_line(self, beginning: str, rest: str) -> None:
        for url, host in (
            (beginning + rest, "h.test"),
            (f"http://h.test/{rest}", "h.test"),
            (f"http://{rest}/x", rest),
        ):
            own = own_url(an_instance(health_check_url=url, host_name=host))
            if own is not None:
                assert not {*b"\r\n "} & {*own.raw_path, *own.netloc}

    async def test_an_instance_that_calls_a_metadata_service_its_own_address_is_not_asked(self) -> None:
        instance = an_instance(ip_address="169.254.169.254", health_check_url="http://169.254.169.254/latest")

        assert await HealthCheck(timeout_seconds=1, own_machine=True).ask(instance) is None

    async def test_a_name_that_means_this_machine_is_not_asked_from_outside(self, health: Health) -> None:
        instance = an_instance(host_name="localhost", health_check_url=health.url.replace("127.0.0.1", "localhost"))

        assert await HealthCheck(timeout_seconds=1, own_machine=False).ask(instance) is None
        assert await HealthCheck(timeout_seconds=1, own_machine=True).ask(instance) is Outcome.ANSWERED
        assert len(health.requests) == 1


class TestWhatItMeans:
    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (b"HTTP/1.1 200 OK\r\n\r\n", Outcome.ANSWERED),
            (b"HTTP/1.0 204 No Content\r\n\r\n", Outcome.ANSWERED),
            (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", Outcome.NOTHING),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Outcome.NOTHING),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Outcome.NOTHING),
            (b"HTTP/1.1 2" + b"0" * 5000, Outcome.NOTHING),
            (b"\xff\x00\r\n", Outcome.NOTHING),
            pytest.param(b"", Outcome.NOTHING, id="it accepts and is silent"),
        ],
    )
    async def test_only_a_2xx_is_an_answer(self, health: Health, answer: bytes, outcome: Outcome) -> None:
        health.answer = answer

        assert await HealthCheck(timeout_seconds=0.2, own_machine=True).ask(at(health.url)) is outcome

    async def test_nobody_listening_is_a_refusal(self) -> None:
        check = HealthCheck(timeout_seconds=1, own_machine=True)

        assert await check.ask(at(f"http://127.0.0.1:{closed_port()}/health")) is Outcome.REFUSED

    async def test_plain_text_where_tls_is_spoken_says_nothing(self, health: Health) -> None:
        check = HealthCheck(timeout_seconds=1, own_machine=True)

        assert await check.ask(at(health.url.replace("http:", "https:"))) is Outcome.NOTHING

    async def test_a_name_that_nobody_knows_says_nothing(self) -> None:
        check = HealthCheck(timeout_seconds=2, own_machine=True)

        assert await check.ask(at("http://h.test:8080/health")) is Outcome.NOTHING


class TestWhatComesOfIt:
    async def test_who_refuses_twice_is_dropped_long_before_the_lease_runs_out_and_it_is_told_why(
        self, registry: Registry, time: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        registry.register(at(f"http://127.0.0.1:{closed_port()}/health", "REFUSING"))
        time.advance(8)

        async with probing(registry) as prober:
            await until(lambda: prober.finding("REFUSING", "o1") is Outcome.REFUSED)
            assert keys(registry) == {"o1"}
            time.advance(2)
            await until(lambda: not keys(registry))

        assert registry.departures[-1].why == "refused 2 connections to its health check, 10 s after it renewed"
        assert "o1 of REFUSING is dropped: it refused 2 connections" in caplog.text
        sample = REGISTRY.get_sample_value("discovery_evictions_total", {"app": "REFUSING", "reason": "refused"})
        assert sample == 1

    async def test_a_refusal_that_a_renewal_follows_is_forgotten(self, registry: Registry, time: FakeClock) -> None:
        registry.register(at(f"http://127.0.0.1:{closed_port()}/health"))
        time.advance(8)

        async with probing(registry) as prober:
            await until(lambda: prober.finding("ORDERS", "o1") is Outcome.REFUSED)
            registry.renew("ORDERS", "o1")
            time.advance(8)
            await until(lambda: prober._suspects["ORDERS", "o1"].renewed_at == 8)
            await until(lambda: prober.finding("ORDERS", "o1") is Outcome.REFUSED)

        assert keys(registry) == {"o1"}

    async def test_who_answers_keeps_its_lease(
        self, registry: Registry, time: FakeClock, health: Health, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        registry.register(at(health.url))

        async with probing(registry):
            for asked in range(1, 4):
                time.advance(10)
                await until(health.was_asked(asked))
                await until(lambda: registry.silent_seconds("ORDERS", "o1") == 0)

        assert not registry.sweep().evicted
        assert caplog.text.count("o1 of ORDERS does not renew, but its health check answers: it stays") == 1

    async def test_but_not_for_ever(self, time: FakeClock, health: Health) -> None:
        registry = Registry(time.clock)
        registry.register(at(health.url))

        async with probing(registry, ProbeRules(keep_seconds=15, own_machine=True)) as prober:
            time.advance(10)
            await until(lambda: registry.silent_seconds("ORDERS", "o1") == 0)
            time.advance(10)
            await until(health.was_asked(2))
            await until(lambda: not prober._asking)
        for _ in range(2):
            assert keys(registry) == {"o1"}
            registry.sweep()
            time.advance(4)

        assert [instance.key for instance in registry.sweep().evicted] == ["o1"]

    async def test_what_says_nothing_runs_out_as_ever_d2(
        self, registry: Registry, time: FakeClock, health: Health
    ) -> None:
        health.answer = b"HTTP/1.1 503 \r\n\r\n"
        registry.register(at(health.url))

        async with probing(registry) as prober:
            time.advance(4)
            registry.sweep()
            time.advance(4)
            await until(lambda: prober.finding("ORDERS", "o1") is Outcome.NOTHING)
            registry.sweep()
            time.advance(4)
            registry.sweep()
            time.advance(3.5)

        assert [instance.key for instance in registry.sweep().evicted] == ["o1"]

    async def test_of_those_that_are_preserved_the_dead_leave_and_the_living_stay_d3(
        self, time: FakeClock, health: Health
    ) -> None:
        registry = Registry(time.clock, preservation=PreservationRules(minimum=10))
        refusing = f"http://127.0.0.1:{closed_port()}/health"
        for number in range(5):
            registry.register(at(health.url, "A", f"a{number}"))
            registry.register(at(refusing, "B", f"b{number}"))
        for _ in range(4):
            time.advance(4)
            registry.sweep()
        assert len(registry.kept) == 10

        async with probing(registry) as prober:
            await until(lambda: prober.finding("B", "b4") is Outcome.REFUSED)
            time.advance(2)
            await until(lambda: not registry.application("B"))
            await until(lambda: all(registry.silent_seconds("A", f"a{number}") <= 2 for number in range(5)))
        registry.sweep()

        assert keys(registry) == {f"a{number}" for number in range(5)}
        assert not registry.kept

    async def test_no_more_than_some_are_asked_at_once(
        self, registry: Registry, time: FakeClock, health: Health
    ) -> None:
        health.answer = b""
        for number in range(100):
            registry.register(at(health.url, key=f"o{number}"))
        time.advance(8)

        async with probing(registry, ProbeRules(timeout_seconds=0.5, interval_seconds=30, own_machine=True)) as prober:
            await until(lambda: len(health.requests) >= 64)
            assert len(prober._asking) == 64
            await until(health.was_asked(100))

    async def test_a_stop_leaves_no_question_open(self, registry: Registry, time: FakeClock, health: Health) -> None:
        health.answer = b""
        registry.register(at(health.url))
        time.advance(8)

        async with probing(registry, ProbeRules(timeout_seconds=30, own_machine=True)) as prober:
            await until(lambda: health.requests)

        assert all(task.done() for task in prober._asking)


async def test_a_host_that_listens_on_one_of_its_addresses_only_is_asked_there(health: Health) -> None:
    addresses = {found[4][0] for found in socket.getaddrinfo("localhost", 1)}
    instance = an_instance(host_name="localhost", health_check_url=health.url.replace("127.0.0.1", "localhost"))

    assert "127.0.0.1" in addresses
    assert await HealthCheck(timeout_seconds=1, own_machine=True).ask(instance) is Outcome.ANSWERED


async def test_a_server_that_probes_drops_what_refuses_long_before_its_lease_runs_out() -> None:
    body = a_registration(
        leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 60},
        ipAddr="127.0.0.1",
        healthCheckUrl=f"http://127.0.0.1:{closed_port()}/health",
    )
    async with (
        running_server(probe=True, probe_interval_seconds=0.1) as server,
        httpx.AsyncClient(base_url=server.eureka) as client,
    ):
        await client.post("apps/ORDERS", json=body)
        await until(lambda: not server.registry.application("ORDERS"))

        assert "refused 2 connections" in server.registry.departures[-1].why
        assert (await client.put("apps/ORDERS/o1")).status_code == 404  # if it lives, it registers again

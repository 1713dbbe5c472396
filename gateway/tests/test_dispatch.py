"""What happens when instances fail: who is tried instead, what is never sent twice, who is left alone."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until
from support.gateways import GatewayUnderTest, running_gateway
from support.registry import FakeRegistry
from support.upstreams import Exchange, WireUpstream, echo, wire_upstream

ROUTES = [{"id": "a", "prefix": "/a", "uri": "lb://a-service", "access": "public"}]


def fixed_route(upstream: WireUpstream) -> list[dict[str, Any]]:
    return [{"id": "a", "prefix": "/a", "uri": upstream.url, "access": "public"}]


async def reset_all(exchange: Exchange) -> None:
    await exchange.body()
    exchange.reset()


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


class TestBalancing:
    async def test_the_instances_share_the_requests(self, tokens: TokenMaker, registry: FakeRegistry) -> None:
        async with echo("1") as one, echo("2") as two, echo("3") as three:
            registry.ports["a-service"] = [one.port, two.port, three.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                shares = Counter([(await gateway.client.get("/a")).json()["by"] for _ in range(90)])

        assert set(shares) == {"1", "2", "3"}
        assert min(shares.values()) >= 10

    async def test_a_busy_instance_gets_less(self, tokens: TokenMaker, registry: FakeRegistry) -> None:
        async def slow(exchange: Exchange) -> None:
            await asyncio.sleep(0.1)
            await exchange.answer(b"slow")

        async with wire_upstream(slow) as one, wire_upstream() as two:
            registry.ports["a-service"] = [one.port, two.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:

                async def client() -> None:
                    for _ in range(20):
                        await gateway.client.get("/a")

                await asyncio.gather(*(client() for _ in range(4)))

        assert len(one.requests) <= 20  # half of them, if it were left to chance
        assert len(one.requests) + len(two.requests) == 80

    async def test_new_instances_are_used_and_gone_ones_are_not(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:
        async with echo("1") as one, echo("2") as two:
            registry.ports["a-service"] = [one.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                before = {(await gateway.client.get("/a")).json()["by"] for _ in range(5)}

                registry.ports["a-service"] = [two.port]
                read = registry.reads
                await until(lambda: _is(registry.reads > read + 1))
                after = {(await gateway.client.get("/a")).json()["by"] for _ in range(5)}

                instances = await gateway.metric('gateway_instances{service="a-service"}')

        assert (before, after, instances) == ({"1"}, {"2"}, 1)

    async def test_routing_goes_on_while_discovery_is_away(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:  # D7
        async with echo("1") as one:
            registry.ports["a-service"] = [one.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                registry.is_away = True
                await asyncio.sleep(0.2)  # a few polls

                answer = await gateway.client.get("/a")
                ready = await gateway.client.get("/actuator/health/readiness")

        assert (answer.status_code, ready.status_code) == (200, 200)


class TestDeadInstances:
    async def test_one_of_three_dead_costs_no_request(self, tokens: TokenMaker, registry: FakeRegistry) -> None:  # G3
        async with wire_upstream() as one, wire_upstream() as two, wire_upstream() as three:
            registry.ports["a-service"] = [one.port, two.port, three.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                for _ in range(30):
                    await gateway.client.get("/a")
                await two.stop()

                answers = [await gateway.client.get("/a") for _ in range(300)]
                posts = [await gateway.client.post("/a", content=b"x") for _ in range(100)]

                retries = await gateway.metric('gateway_retries_total{service="a-service"}')
            await two.start()  # for its own end

        assert [answer.status_code for answer in answers + posts] == [200] * 400
        assert sum(b"POST" in head for upstream in (one, two, three) for head in upstream.requests) == 100
        assert retries <= 80  # G4: a fifth

    async def test_instances_that_break_under_load_lose_no_get(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:
        async with wire_upstream() as one, wire_upstream() as two, wire_upstream() as three:
            registry.ports["a-service"] = [one.port, two.port, three.port]
            async with running_gateway(tokens, ROUTES, registry=registry, breaker_pause_seconds=0.1) as gateway:
                statuses: Counter[int] = Counter()
                stop = asyncio.Event()

                async def client() -> None:
                    while not stop.is_set():
                        statuses[(await gateway.client.get("/a")).status_code] += 1

                clients = [asyncio.create_task(client()) for _ in range(4)]
                for upstream in (one, two, three, one):
                    await asyncio.sleep(0.2)
                    await upstream.stop()
                    await asyncio.sleep(0.2)
                    await upstream.start()
                stop.set()
                await asyncio.gather(*clients)

        assert set(statuses) == {200}
        assert statuses[200] > 100

    async def test_nobody_listening_is_502_and_then_503_with_retry_after(self, tokens: TokenMaker) -> None:
        async with wire_upstream() as upstream:
            route = fixed_route(upstream)
        async with running_gateway(tokens, route, breaker_pause_seconds=30) as gateway:
            first, second = await gateway.client.post("/a"), await gateway.client.post("/a")

        assert (first.status_code, code_of(first)) == (502, "upstream-failed")
        assert (second.status_code, code_of(second)) == (503, "no-instance")
        assert second.headers["retry-after"] == "1"
        assert "127.0.0.1" not in first.json()["detail"].replace(route[0]["uri"].removeprefix("http://"), "")

    async def test_an_instance_is_back_in_use_after_its_pause(self, tokens: TokenMaker) -> None:
        async with wire_upstream() as upstream:
            await upstream.stop()
            async with running_gateway(tokens, fixed_route(upstream), breaker_pause_seconds=0.1) as gateway:
                down = (await gateway.client.get("/a")).status_code
                await upstream.start()

                await until(lambda: _answers(gateway, 200))

        assert down == 502


class TestSendingTwice:
    async def test_a_get_that_breaks_is_sent_to_another_instance(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:
        async with wire_upstream(reset_all) as broken, wire_upstream() as good:
            registry.ports["a-service"] = [broken.port, good.port]
            async with running_gateway(tokens, ROUTES, registry=registry, breaker_failures=3) as gateway:
                statuses = {(await gateway.client.get("/a")).status_code for _ in range(20)}

        assert statuses == {200}
        assert len(broken.requests) == 3  # then the breaker keeps it out (G5)

    @pytest.mark.parametrize("content", [b"", b"{}", b"x" * 200_000])
    async def test_a_post_is_never_sent_twice_once_bytes_were_sent(
        self, tokens: TokenMaker, registry: FakeRegistry, content: bytes
    ) -> None:
        async with wire_upstream(reset_all) as one, wire_upstream(reset_all) as two:
            registry.ports["a-service"] = [one.port, two.port]
            async with running_gateway(tokens, ROUTES, registry=registry, breaker_failures=100) as gateway:
                answers = [await gateway.client.post("/a", content=content) for _ in range(5)]

        assert [(answer.status_code, code_of(answer)) for answer in answers] == [(502, "upstream-failed")] * 5
        assert len(one.requests) + len(two.requests) == 5

    async def test_a_post_with_an_idempotency_key_is(self, tokens: TokenMaker, registry: FakeRegistry) -> None:
        async with wire_upstream(reset_all) as broken, wire_upstream() as good:
            registry.ports["a-service"] = [broken.port, good.port]
            async with running_gateway(tokens, ROUTES, registry=registry, breaker_failures=2) as gateway:
                answers = [
                    await gateway.client.post("/a", content=b"{}", headers={"Idempotency-Key": str(number)})
                    for number in range(10)
                ]

        assert [answer.status_code for answer in answers] == [200] * 10
        assert sum(b"idempotency-key:" in head for head in good.requests) == 10

    async def test_a_client_can_not_hide_its_key_from_the_service_and_be_retried(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:
        async with wire_upstream(reset_all) as one, wire_upstream(reset_all) as two:
            registry.ports["a-service"] = [one.port, two.port]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                await gateway.client.post("/a", headers={"Idempotency-Key": "1", "Connection": "idempotency-key"})

        assert len(one.requests) + len(two.requests) == 1

    async def test_a_broken_instance_is_tried_at_most_three_times_over(
        self, tokens: TokenMaker, registry: FakeRegistry
    ) -> None:
        async with (
            wire_upstream(reset_all) as one,
            wire_upstream(reset_all) as two,
            wire_upstream(reset_all) as three,
            wire_upstream(reset_all) as four,
        ):
            upstreams = [one, two, three, four]
            registry.ports["a-service"] = [upstream.port for upstream in upstreams]
            async with running_gateway(tokens, ROUTES, registry=registry) as gateway:
                answer = await gateway.client.get("/a")

        assert answer.status_code == 502
        assert sorted(len(upstream.requests) for upstream in upstreams) == [0, 1, 1, 1]


class TestBreaker:
    async def test_it_opens_probes_and_closes(self, tokens: TokenMaker) -> None:  # G5
        is_well = False

        async def play(exchange: Exchange) -> None:
            if is_well:
                await exchange.answer()
            else:
                await exchange.answer(b"{}", "503 Service Unavailable")

        async with (
            wire_upstream(play) as upstream,
            running_gateway(tokens, fixed_route(upstream), breaker_failures=5, breaker_pause_seconds=0.3) as gateway,
        ):
            answers = [await gateway.client.get("/a") for _ in range(20)]
            reached = len(upstream.requests)
            is_open = f'gateway_breaker_open{{instance="127.0.0.1:{upstream.port}"}}'
            opened = await gateway.metric(is_open)
            is_well = True
            await until(lambda: _answers(gateway, 200))
            closed = await gateway.metric(is_open)
            later = [(await gateway.client.get("/a")).status_code for _ in range(5)]

        assert [answer.status_code for answer in answers] == [503] * 20
        assert reached == 5
        assert "retry-after" in answers[-1].headers
        assert (opened, closed) == (1, 0)
        assert later == [200] * 5

    async def test_errors_of_the_application_do_not_open_it(self, tokens: TokenMaker) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.answer(b"{}", "500 Internal Server Error")

        async with wire_upstream(play) as upstream, running_gateway(tokens, fixed_route(upstream)) as gateway:
            for _ in range(20):
                await gateway.client.get("/a")

        assert len(upstream.requests) == 20


class TestOverload:
    async def test_more_than_an_instance_may_get_is_503_and_the_instance_stays_in_use(  # G8
        self, tokens: TokenMaker
    ) -> None:
        release = asyncio.Event()

        async def play(exchange: Exchange) -> None:
            await release.wait()
            await exchange.answer()

        async with (
            wire_upstream(play) as upstream,
            running_gateway(
                tokens,
                fixed_route(upstream),
                connections_per_instance=2,
                connect_timeout_seconds=0.2,
                breaker_failures=1,
            ) as gateway,
        ):
            accepted = [asyncio.create_task(gateway.client.get("/a")) for _ in range(2)]
            await until(lambda: _is(len(upstream.requests) == 2))
            refused = await gateway.client.get("/a")
            release.set()
            answers = await asyncio.gather(*accepted, gateway.client.get("/a"))

        assert (refused.status_code, code_of(refused), refused.headers["retry-after"]) == (503, "no-instance", "1")
        assert [answer.status_code for answer in answers] == [200] * 3


class TestTimeouts:
    async def test_no_answer_in_time_is_504(self, tokens: TokenMaker) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.hang()

        async with (
            wire_upstream(play) as upstream,
            running_gateway(tokens, fixed_route(upstream), response_timeout_seconds=0.2) as gateway,
        ):
            answer = await gateway.client.get("/a")

        assert (answer.status_code, code_of(answer)) == (504, "upstream-too-slow")
        assert len(upstream.requests) == 1

    async def test_a_client_that_does_not_send_its_body_is_408(self, tokens: TokenMaker) -> None:
        async with (
            wire_upstream() as upstream,
            running_gateway(tokens, fixed_route(upstream), idle_timeout_seconds=0.3) as gateway,
        ):
            nothing = await gateway.raw(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            half = await gateway.raw(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * 100_000)

        assert nothing.startswith(b"HTTP/1.1 408 ")
        assert half.startswith(b"HTTP/1.1 408 ")

    async def test_an_answer_that_breaks_off_reaches_the_client_broken_off(self, tokens: TokenMaker) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            exchange.reset()

        async with wire_upstream(play) as upstream, running_gateway(tokens, fixed_route(upstream)) as gateway:
            with pytest.raises(httpx.RemoteProtocolError):
                await gateway.client.get("/a")


async def _is(condition: object) -> bool:
    return bool(condition)


async def _answers(gateway: GatewayUnderTest, status: int) -> bool:
    return (await gateway.client.get("/a")).status_code == status

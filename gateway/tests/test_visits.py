"""Clients that go away before they were answered (G6)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until
from support.gateways import running_gateway
from support.upstreams import Exchange, WireUpstream, wire_upstream


def route_to(upstream: WireUpstream) -> list[dict[str, str]]:
    return [{"id": "abandoned", "prefix": "/a", "uri": upstream.url, "access": "public"}]


async def before_the_head(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.hang()


async def within_the_body(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await exchange.hang()


@pytest.mark.parametrize("play", [before_the_head, within_the_body])
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
    ],
    ids=["get", "post", "large post"],
)
async def test_a_client_that_leaves_ends_the_call_of_the_upstream(
    tokens: TokenMaker, play: Callable[[Exchange], Awaitable[None]], request_bytes: bytes
) -> None:
    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request_bytes)
        await until(lambda: _is(upstream.requests))

        writer.transport.abort()

        await until(lambda: _is(upstream.open_connections == 0), timeout_seconds=2.0)


async def test_a_client_that_leaves_in_its_upload_ends_the_call_of_the_upstream(tokens: TokenMaker) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.hang()

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * 100_000)
        await until(lambda: _is(upstream.requests))

        writer.transport.abort()

        await until(lambda: _is(upstream.open_connections == 0), timeout_seconds=2.0)


async def test_many_that_leave_leave_nothing_behind(tokens: TokenMaker) -> None:
    async with wire_upstream(before_the_head) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        line = 'gateway_requests_total{method="GET",route="abandoned",status="499"}'
        counted = await gateway.metric(line)
        for _ in range(5):
            writers = []
            for _ in range(40):
                _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
                writers.append(writer)
            await until(lambda: _is(upstream.open_connections == 40))
            for writer in writers:
                writer.transport.abort()
            await until(lambda: _is(upstream.open_connections == 0))

        async def all_are_counted() -> bool:
            return await gateway.metric(line) == counted + 200

        await until(all_are_counted)


async def test_a_client_that_stays_is_answered_however_slow_the_upstream_is(tokens: TokenMaker) -> None:
    async def play(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await exchange.answer(b"late")

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        answers = [(await gateway.client.post("/a", content=b"{}")).text for _ in range(2)]

    assert answers == ["late", "late"]


async def _is(condition: object) -> bool:
    return bool(condition)

"""Messages that two servers could read as different requests, sent as raw bytes (G2)."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until
from support.gateways import GatewayUnderTest, running_gateway
from support.upstreams import Exchange, WireUpstream, wire_upstream

REFUSED = {
    "CL.TE": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "TE.CL": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE with a tab": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /open/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with a space": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "CL twice": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    "CL list": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "CL with a sign": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "CL negative": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc",
    "CL in hex": b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    "folded line": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "bare LF": b"GET /open/x HTTP/1.1\nHost: a\n\n",
    "bare LF in a header": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: b\nTransfer-Encoding: chunked\r\n\r\n",
    "bare CR in a header": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
    "NUL in a header": b"GET /open/x HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
    "chunk size in 0x": b"POST /open/x HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunk with bare LF": b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "no Host": b"GET /open/x HTTP/1.1\r\n\r\n",
    "empty Host": b"GET /open/x HTTP/1.1\r\nHost:\r\n\r\n",
    "two Hosts": b"GET /open/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "Host with a path": b"GET /open/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a name before": b"GET /open/x HTTP/1.1\r\nHost: me@a\r\n\r\n",
    "two tokens": b"GET /open/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "space in the target": b"GET /open/x y HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /open/x\r\n\r\n",
    "HTTP/2.0": b"GET /open/x HTTP/2.0\r\nHost: a\r\n\r\n",
    "Upgrade with a body": b"POST /open/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "no method": b"/open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"SMUGGLE /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
}

# A second request, hidden where a careless reader finds it.
HIDDEN = b"GET /open/hidden HTTP/1.1\r\nHost: a\r\n\r\n"


def route_to(upstream: WireUpstream) -> list[dict[str, str]]:
    return [{"id": "open", "prefix": "/open", "uri": upstream.url, "access": "public"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tokens: TokenMaker) -> AsyncIterator[tuple[GatewayUnderTest, WireUpstream]]:
    """A gateway, and the upstream that nothing of this may reach."""
    async with wire_upstream() as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        yield gateway, upstream


@pytest.mark.parametrize("name", REFUSED)
async def test_what_can_be_read_in_two_ways_is_400_and_reaches_nobody(
    guarded: tuple[GatewayUnderTest, WireUpstream], name: str
) -> None:
    gateway, upstream = guarded

    answer = await gateway.raw(REFUSED[name])

    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"content-type: application/problem+json" in answer
    assert upstream.requests == []


@pytest.mark.parametrize("line", [b"X: " + b"x" * 300_000, b"X: x\r\n" * 100_000])
async def test_a_head_without_an_end_is_not_read_for_ever(
    guarded: tuple[GatewayUnderTest, WireUpstream], line: bytes
) -> None:
    gateway, _ = guarded

    answer = await gateway.raw(b"GET /open/x HTTP/1.1\r\nHost: a\r\n" + line)

    assert answer.startswith(b"HTTP/1.1 431 ")


async def said_by(gateway: GatewayUnderTest, data: bytes) -> bytes:
    """All that comes back until the gateway closes the connection, which the last request asks for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    try:
        async with asyncio.timeout(5.0):
            return await reader.read()
    finally:
        writer.close()


async def test_a_request_inside_a_body_stays_inside_it(tokens: TokenMaker) -> None:
    bodies: list[bytes] = []

    async def play(exchange: Exchange) -> None:
        bodies.append(await exchange.body())
        await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        await said_by(
            gateway,
            b"POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(HIDDEN)
            + HIDDEN,
        )
        await said_by(
            gateway,
            b"POST /open/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"%x;ext=1\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n" % (len(HIDDEN), HIDDEN),
        )

    assert [request.split(b" ")[1] for request in upstream.requests] == [b"/open/a", b"/open/b"]
    assert bodies == [HIDDEN, HIDDEN]


async def test_pipelined_requests_are_checked_one_by_one(tokens: TokenMaker) -> None:
    async with wire_upstream() as upstream:
        routes = [*route_to(upstream), {"id": "closed", "prefix": "/closed", "uri": upstream.url}]
        async with running_gateway(tokens, routes) as gateway:
            answer = await said_by(
                gateway,
                b"GET /open/a HTTP/1.1\r\nHost: a\r\n\r\n"
                b"GET /closed/b HTTP/1.1\r\nHost: a\r\n\r\n"
                b"GET /open/c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            )

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"401", b"200"]
    assert [request.split(b" ")[1] for request in upstream.requests] == [b"/open/a", b"/open/c"]


async def test_a_body_that_goes_wrong_after_the_answer_began_puts_nothing_into_it(tokens: TokenMaker) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await exchange.hang()

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /open/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        begun = await reader.readuntil(b"hello\r\n")
        writer.write(b"nonsense\r\n")
        rest = await reader.read()
        writer.close()

    assert begun.startswith(b"HTTP/1.1 200 ")
    assert rest == b""


async def test_a_body_that_is_cut_short_takes_nothing_of_the_next_request(tokens: TokenMaker) -> None:
    async with wire_upstream() as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"x" * 200_000)
        await writer.drain()
        await until(lambda: _is(upstream.requests))
        writer.transport.abort()

        answer = await gateway.client.get("/open/b")

    assert answer.status_code == 200
    assert upstream.connections == 2  # the half request's connection was not used again


async def test_two_answers_to_one_request_do_not_answer_the_next_one(tokens: TokenMaker) -> None:
    async def play(exchange: Exchange) -> None:
        mine = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % exchange.number
        await exchange.say(
            mine + (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" if exchange.number == 1 else b"")
        )

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        first, second = await gateway.client.get("/open/a"), await gateway.client.get("/open/b")

    assert (first.text, second.text) == ("1", "2")
    assert upstream.connections == 2


async def test_bytes_on_an_idle_connection_do_not_answer_the_next_request(tokens: TokenMaker) -> None:
    said = asyncio.Event()

    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"%d" % exchange.number)
        if exchange.number == 1:
            await asyncio.sleep(0.05)
            await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            said.set()

    async with wire_upstream(play) as upstream, running_gateway(tokens, route_to(upstream)) as gateway:
        first = await gateway.client.get("/open/a")
        await said.wait()
        second = await gateway.client.post("/open/b")

    assert (first.text, second.text) == ("1", "2")
    assert upstream.connections == 2


async def _is(condition: object) -> bool:
    return bool(condition)

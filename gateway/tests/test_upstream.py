"""The wire to the upstreams, through an httpx transport: connections, framing, timeouts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from chassis.testing.waiting import until
from support.upstreams import Exchange, wire_upstream

from gateway.settings import Settings
from gateway.upstream import CompleteBody, UpstreamTransport


@asynccontextmanager
async def running_transport(**settings: float) -> AsyncIterator[UpstreamTransport]:
    transport = UpstreamTransport(Settings.model_validate(settings))
    sweep = asyncio.create_task(transport.run())
    try:
        yield transport
    finally:
        sweep.cancel()
        await transport.aclose()


async def read(transport: UpstreamTransport, request: httpx.Request) -> tuple[int, bytes]:
    """Status and body of the answer to a stock httpx request."""
    response = await transport.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return response.status_code, b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()


class TestFraming:
    @pytest.mark.parametrize(
        ("method", "wire", "status", "body"),
        [
            ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
            ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
            (
                "GET",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
                200,
                b"hello!",
            ),
            (
                "GET",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
                200,
                b"hello",
            ),
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, b""),
            ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, b""),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
            ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
            (
                "GET",
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                b"ok",
            ),
            ("GET", b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599, b"ok"),
        ],
    )
    @pytest.mark.parametrize("in_pieces", [False, True])
    async def test_an_answer_ends_where_it_says_and_its_connection_is_used_again(
        self, method: str, wire: bytes, status: int, body: bytes, in_pieces: bool
    ) -> None:
        async def play(exchange: Exchange) -> None:
            for start in range(0, len(wire), 7 if in_pieces else len(wire)):
                await exchange.say(wire[start : start + 7] if in_pieces else wire)
                await asyncio.sleep(0)

        async with wire_upstream(play) as upstream, running_transport() as transport:
            answers = [await read(transport, httpx.Request(method, upstream.url)) for _ in range(2)]

        assert answers == [(status, body)] * 2
        assert upstream.connections == 1

    @pytest.mark.parametrize(
        "wire",
        [
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        ],
    )
    async def test_an_answer_may_end_with_its_connection(self, wire: bytes) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(wire)
            exchange.writer.close()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            answers = [await read(transport, httpx.Request("GET", upstream.url)) for _ in range(2)]

        assert answers == [(200, b"hello")] * 2
        assert upstream.connections == 2

    @pytest.mark.parametrize(
        "wire",
        [
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        ],
    )
    async def test_an_answer_that_is_no_http_is_an_error(self, wire: bytes) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(wire)

        async with wire_upstream(play) as upstream, running_transport() as transport:
            with pytest.raises(httpx.RemoteProtocolError):
                await read(transport, httpx.Request("GET", upstream.url))

    @pytest.mark.parametrize(
        "wire",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ],
    )
    async def test_an_answer_that_ends_too_early_is_an_error_after_what_came(self, wire: bytes) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(wire)
            exchange.writer.close()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            response = await transport.handle_async_request(httpx.Request("GET", upstream.url))
            assert isinstance(response.stream, httpx.AsyncByteStream)
            pieces = aiter(response.stream)
            first = await anext(pieces)
            with pytest.raises(httpx.TransportError):
                await anext(pieces)
            await response.aclose()

        assert first == b"hello"

    async def test_a_stock_httpx_request_with_a_stream_is_sent_in_chunks(self) -> None:
        bodies = []

        async def play(exchange: Exchange) -> None:
            bodies.append(await exchange.reader.readuntil(b"0\r\n\r\n"))
            await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async def pieces() -> AsyncIterator[bytes]:
            yield b"hello"
            yield b""
            yield b"world!"

        async with wire_upstream(play) as upstream, running_transport() as transport:
            await read(transport, httpx.Request("POST", upstream.url, content=pieces()))

        assert bodies == [b"5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"]

    async def test_an_answer_before_the_upload_has_ended_is_given_and_the_connection_is_not_used_again(self) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            await exchange.reader.read(10)

        async def endless() -> AsyncIterator[bytes]:
            yield b"begin"
            await asyncio.Event().wait()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            refused = await read(transport, httpx.Request("POST", upstream.url, content=endless()))
            again = await read(transport, httpx.Request("GET", upstream.url))

        assert refused == again == (403, b"no")
        assert upstream.connections == 2


class TestConnections:
    async def test_the_connection_used_last_is_used_next(self) -> None:
        async def play(exchange: Exchange) -> None:
            await asyncio.sleep(0.05)
            await exchange.answer(b"%d" % exchange.connection)

        async with wire_upstream(play) as upstream, running_transport() as transport:
            request = httpx.Request("GET", upstream.url)
            await asyncio.gather(*(read(transport, request) for _ in range(3)))
            used = {(await read(transport, request))[1] for _ in range(4)}

        assert upstream.connections == 3
        assert len(used) == 1

    async def test_their_number_is_bounded_and_the_rest_wait(self) -> None:
        async def play(exchange: Exchange) -> None:
            await asyncio.sleep(0.01)
            await exchange.answer()

        async with wire_upstream(play) as upstream, running_transport(connections_per_instance=4) as transport:
            answers = await asyncio.gather(*(read(transport, httpx.Request("GET", upstream.url)) for _ in range(100)))

        assert answers == [(200, b"{}")] * 100
        assert upstream.connections == 4

    async def test_who_waits_too_long_for_one_is_told(self) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.hang()

        async with (
            wire_upstream(play) as upstream,
            running_transport(connections_per_instance=1, connect_timeout_seconds=0.1) as transport,
        ):
            stuck = asyncio.create_task(read(transport, httpx.Request("GET", upstream.url)))
            await until(lambda: _is(upstream.requests))
            with pytest.raises(httpx.PoolTimeout):
                await read(transport, httpx.Request("GET", upstream.url))
            stuck.cancel()
            await asyncio.gather(stuck, return_exceptions=True)

    async def test_cancelled_requests_leave_no_connection_and_no_place_in_the_line_behind(self) -> None:
        async def play(exchange: Exchange) -> None:
            if b"/slow" in exchange.head:
                await exchange.hang()
            await exchange.answer()

        async with (
            wire_upstream(play) as upstream,
            running_transport(connections_per_instance=3, connect_timeout_seconds=10) as transport,
        ):
            for _ in range(3):
                slow = [
                    asyncio.create_task(read(transport, httpx.Request("GET", f"{upstream.url}/slow"))) for _ in range(9)
                ]
                await until(lambda: _is(upstream.open_connections == 3))
                for task in reversed(slow):
                    task.cancel()
                await asyncio.gather(*slow, return_exceptions=True)
            answers = await asyncio.gather(*(read(transport, httpx.Request("GET", upstream.url)) for _ in range(9)))
            still_open = upstream.open_connections

        assert answers == [(200, b"{}")] * 9
        assert still_open <= 3

    async def test_idle_ones_are_closed_after_a_while(self) -> None:
        async with wire_upstream() as upstream, running_transport(keep_alive_seconds=0.2) as transport:
            await read(transport, httpx.Request("GET", upstream.url))
            was_kept = upstream.open_connections

            await until(lambda: _is(upstream.open_connections == 0))

        assert was_kept == 1

    @pytest.mark.parametrize(("replayable", "method"), [(True, "GET"), (False, "POST")])
    async def test_one_that_the_upstream_has_closed_is_not_used(self, replayable: bool, method: str) -> None:
        closed = asyncio.Event()

        async def play(exchange: Exchange) -> None:
            await exchange.answer()
            if exchange.number == 1:
                exchange.writer.close()
                closed.set()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            request = httpx.Request(method, upstream.url, extensions={"replayable": replayable})
            await read(transport, request)
            await closed.wait()
            answer = await read(transport, request)

        assert answer == (200, b"{}")
        assert len(upstream.requests) == 2

    async def test_a_kept_one_that_breaks_before_the_answer_is_replaced_once_for_what_may_be_sent_twice(self) -> None:
        async def play(exchange: Exchange) -> None:
            if exchange.number == 2:
                exchange.reset()
            else:
                await exchange.answer()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            request = httpx.Request("GET", upstream.url, extensions={"replayable": True})
            answers = [await read(transport, request) for _ in range(2)]

        assert answers == [(200, b"{}")] * 2
        assert len(upstream.requests) == 3

    async def test_what_may_not_be_sent_twice_is_not(self) -> None:
        async def play(exchange: Exchange) -> None:
            if exchange.number == 2:
                exchange.reset()
            else:
                await exchange.answer()

        async with wire_upstream(play) as upstream, running_transport() as transport:
            await read(transport, httpx.Request("POST", upstream.url, stream=CompleteBody()))
            with pytest.raises(httpx.TransportError):
                await read(transport, httpx.Request("POST", upstream.url, stream=CompleteBody()))

        assert len(upstream.requests) == 2

    async def test_refused_is_told_apart_from_silence(self) -> None:
        async with wire_upstream() as upstream:
            port = upstream.port
        async with running_transport() as transport:
            with pytest.raises(httpx.ConnectError):
                await read(transport, httpx.Request("GET", f"http://127.0.0.1:{port}"))


class TestTimeouts:
    async def test_no_answer_in_time_is_a_timeout(self) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.hang()

        async with wire_upstream(play) as upstream, running_transport(response_timeout_seconds=0.2) as transport:
            with pytest.raises(httpx.ReadTimeout):
                await read(transport, httpx.Request("GET", upstream.url))

    async def test_a_body_that_stands_still_is_a_timeout_and_one_that_trickles_is_not(self) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(8):
                await exchange.say(b"1\r\nx\r\n")
                await asyncio.sleep(0.1)
            if b"/stands" in exchange.head:
                await exchange.hang()
            await exchange.say(b"0\r\n\r\n")

        async with wire_upstream(play) as upstream, running_transport(idle_timeout_seconds=0.5) as transport:
            trickled = await read(transport, httpx.Request("GET", upstream.url))
            with pytest.raises(httpx.ReadTimeout):
                await read(transport, httpx.Request("GET", f"{upstream.url}/stands"))

        assert trickled == (200, b"x" * 8)

    async def test_a_request_that_nobody_takes_is_a_timeout(self) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.stall()

        async def much() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b"x" * 100_000

        async with wire_upstream(play) as upstream, running_transport(idle_timeout_seconds=0.3) as transport:
            with pytest.raises(httpx.WriteTimeout):
                await read(transport, httpx.Request("POST", upstream.url, content=much()))


async def _is(condition: object) -> bool:
    return bool(condition)

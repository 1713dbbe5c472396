"""What clients send that httptools alone would stumble over."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chassis.testing.server import running

OFFER = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n"
# RFC 9110 §10.1.1: the server says when it has read the head, so that nothing has to be waited for.
ASKS = "Expect: 100-continue\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body that it got."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await Response(await Request(scope, receive).body())(scope, receive, send)


@pytest.mark.parametrize("requests", [1, 2])
async def test_a_request_that_offers_to_go_on_in_http_2_keeps_its_body(requests: int) -> None:
    body = b"what Java's HttpClient sends in a segment of its own"
    head = f"POST /echo HTTP/1.1\r\nHost: h\r\n{OFFER}{ASKS}Content-Length: {len(body)}\r\n\r\n".encode()

    async with running(echo) as url:
        for answer in await answers(url, head, body, requests):
            assert answer == body


async def test_a_body_that_looks_like_such_an_offer_is_left_as_it_is() -> None:
    body = f"GET / HTTP/1.1\r\n{OFFER}\r\n".encode()
    head = f"POST /echo HTTP/1.1\r\nHost: h\r\n{ASKS}Content-Length: {len(body)}\r\n\r\n".encode()

    async with running(echo) as url:
        assert await answers(url, head, body, 1) == [body]


async def answers(url: str, head: bytes, body: bytes, requests: int) -> list[bytes]:
    """The bodies of the answers to a request that is sent so often; its body comes in a segment of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    found = []
    async with asyncio.timeout(5):
        for _ in range(requests):
            writer.write(head)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    return found

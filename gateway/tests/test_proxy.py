"""A request through the gateway: where it goes, what goes with it, who may pass, what comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from chassis.ids import uuid7
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until
from support.gateways import GatewayUnderTest, running_gateway
from support.upstreams import Echo, Exchange, headers_of, wire_upstream

_SESSION = "0190d0a0-0000-7000-8000-000000000005"


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].endswith(f"/{code}")
    assert document["title"]
    assert document["detail"]
    assert answer.headers["x-request-id"]


class TestRouting:
    @pytest.mark.parametrize(
        ("path", "seen"),
        [
            ("/api/v1/orders/7?status=PLACED&x=%2F", "/api/v1/orders/7?status=PLACED&x=%2F"),
            ("/api/v1/orders", "/api/v1/orders"),
            ("/order-service/api/v1/orders/7?a=b", "/api/v1/orders/7?a=b"),
            ("/order-service", "/"),
            ("/order%2Dservice/x%20y", "/x%20y"),
            ("/cut/off/x/y?z", "/x/y?z"),
            ("/cut/off", "/"),
            ("/open/caf%C3%A9/%7Euser", "/open/caf%C3%A9/%7Euser"),
        ],
    )
    async def test_the_raw_target_goes_on_less_what_is_stripped(
        self, gateway: GatewayUnderTest, path: str, seen: str
    ) -> None:
        answer = await gateway.client.get(
            httpx.URL(gateway.url, raw_path=path.encode()), headers=gateway.tokens.customer()
        )

        assert answer.status_code == 200, answer.text
        assert answer.json()["target"] == seen

    @pytest.mark.parametrize("path", ["/", "/nowhere", "/api/v1", "/unknown-service/x", "/gateway/actuator/health"])
    async def test_what_nobody_takes_is_404(self, gateway: GatewayUnderTest, path: str) -> None:
        assert_problem(await gateway.client.get(path, headers=gateway.tokens.admin()), 404, "no-route")

    async def test_a_service_without_an_instance_is_503_with_retry_after(self, gateway: GatewayUnderTest) -> None:
        answer = await gateway.client.get("/lost/x")

        assert_problem(answer, 503, "no-instance")
        assert answer.headers["retry-after"] == "1"

    async def test_ambiguous_paths_never_reach_anybody(self, gateway: GatewayUnderTest, upstream: Echo) -> None:
        before = len(upstream.seen)
        for path in (
            "/open/../admin",
            "/open/%2e%2e/admin",
            "/open//x",
            "/open/..;/admin",
            "/open%2f..%2fadmin",
            "/open%00",
        ):
            answer = await gateway.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 400 "), path
            assert b"problems/ambiguous-request" in answer, path

        assert len(upstream.seen) == before


class TestAccess:
    @pytest.mark.parametrize("path", ["/api/v1/orders", "/order-service/api/v1/orders", "/api/v1/catalogue/1/private"])
    async def test_a_closed_path_asks_for_a_token(self, gateway: GatewayUnderTest, path: str) -> None:
        answer = await gateway.client.get(path)

        assert_problem(answer, 401, "not-authenticated")
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("path", ["/api/v1/catalogue/1", "/order-service/api/v1/catalogue/1", "/open/x"])
    async def test_a_public_path_does_not(self, gateway: GatewayUnderTest, path: str) -> None:
        answer = await gateway.client.get(path)

        assert answer.status_code == 200
        assert "x-user-id" not in headers_of(answer.json())

    async def test_a_bad_token_is_refused_where_one_is_needed(self, gateway: GatewayUnderTest) -> None:
        tokens = gateway.tokens
        bad = [
            "Bearer",
            "Bearer nonsense",
            "Basic eDp5",
            f"Bearer {tokens.token(exp=1)}",
            f"Bearer {tokens.token(aud='others')}",
            f"Bearer {tokens.token(iss='https://elsewhere.example')}",
            f"Bearer {tokens.token()[:-8]}AAAAAAAA",
            f"Bearer {tokens.token(headers={'typ': 'JWT'})}",
            f"Bearer {tokens.token(headers={'kid': 'unknown'})}",
        ]

        for header in bad:
            answer = await gateway.client.get("/api/v1/orders", headers={"Authorization": header})
            assert_problem(answer, 401, "not-authenticated")

    async def test_a_bad_token_on_a_public_path_is_passed_on_without_an_identity(
        self, gateway: GatewayUnderTest
    ) -> None:
        answer = await gateway.client.get("/open/x", headers={"Authorization": "Bearer nonsense"})

        assert answer.status_code == 200
        seen = headers_of(answer.json())
        assert seen["authorization"] == "Bearer nonsense"
        assert "x-user-id" not in seen

    @pytest.mark.parametrize(
        "path", ["/admin/x", "/order-service/actuator/env", "/config-server/a/default", "/cut/off/actuator"]
    )
    async def test_what_is_for_admins_is_for_admins_alone(self, gateway: GatewayUnderTest, path: str) -> None:
        nobody = await gateway.client.get(path)
        customer = await gateway.client.get(path, headers=gateway.tokens.customer())
        admin = await gateway.client.get(path, headers=gateway.tokens.admin())

        assert_problem(nobody, 401, "not-authenticated")
        assert_problem(customer, 403, "not-allowed")
        assert admin.status_code == 200

    async def test_the_token_of_an_ended_session_is_refused_at_once(self, tokens: TokenMaker, upstream: Echo) -> None:
        routes = [{"id": "a", "prefix": "/a", "uri": upstream.url}]
        async with running_gateway(tokens, routes) as gateway:
            headers = {"Authorization": f"Bearer {tokens.token(sid=_SESSION)}"}
            before = await gateway.client.get("/a", headers=headers)

            gateway.security.revoked.add(_SESSION)
            after = await gateway.client.get("/a", headers=headers)

        assert before.status_code == 200
        assert_problem(after, 401, "not-authenticated")


class TestIdentity:
    async def test_a_service_is_told_who_calls(self, gateway: GatewayUnderTest) -> None:
        user_id = uuid7()
        token = gateway.tokens.token(user_id=user_id, sid=_SESSION, role="customer")

        answer = await gateway.client.get("/api/v1/orders", headers={"Authorization": f"Bearer {token}"})

        seen = headers_of(answer.json())
        assert seen["x-user-id"] == str(user_id)
        assert seen["x-user-role"] == "customer"
        assert seen["x-session-id"] == _SESSION
        assert seen["authorization"] == f"Bearer {token}"

    SPOOFED = (  # G1
        "X-User-Id: evil",
        "x-user-id: evil",
        "X-USER-ID: evil",
        "X_User_Id: evil",
        "x-user_id: evil",
        "X-User-Role: admin",
        "x_user_role: admin",
        "X-User-Anything: evil",
        "X-Session-Id: evil",
        "X_SESSION_ID: evil",
        "X-Auth-Request-User: evil",
        "X-Authenticated-User: evil",
        "X-Forwarded-For: evil",
        "X_Forwarded_For: evil",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Proto: evil",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-User: evil",
        "Forwarded: for=evil",
        "X-Real-IP: evil",
        "x_real_ip: evil",
        "X-Client-IP: evil",
        "True-Client-IP: evil",
        "CF-Connecting-IP: evil",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-HTTP-Method-Override: evil",
        "X-Remote-User: evil",
        "Remote-User: evil",
        "Proxy: evil",
        "Proxy-Authorization: evil",
        "Host_: evil",
        "Content_Length: 666",
        "Transfer_Encoding: evil",
        "TE: evil",
        "Trailer: evil",
        "Keep-Alive: evil",
        "Upgrade: evil",
    )

    @pytest.mark.parametrize("spoofed", SPOOFED)
    @pytest.mark.parametrize("signed_in", [True, False])
    async def test_nothing_that_only_the_gateway_may_say_gets_through_in_any_spelling(
        self, gateway: GatewayUnderTest, spoofed: str, signed_in: bool
    ) -> None:
        token = f"Authorization: Bearer {gateway.tokens.token()}\r\n" if signed_in else ""
        request = f"GET /open/x HTTP/1.1\r\nHost: shop.example\r\n{token}{spoofed}\r\nX-Kept: yes\r\n\r\n"

        answer = await gateway.raw(request.encode())

        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), answer
        seen = headers_of(json.loads(body))
        assert seen["x-kept"] == "yes"
        assert {name: value for name, value in seen.items() if "evil" in value or value in ("admin", "666")} in (
            {},
            # Nothing reads this one as the Host.
            {"host_": "evil"},
        )

    async def test_a_header_name_with_a_space_is_refused(self, gateway: GatewayUnderTest) -> None:
        answer = await gateway.raw(b"GET /open/x HTTP/1.1\r\nHost: a\r\nX-User-Id : evil\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 400 ")

    @pytest.mark.parametrize(
        "listed", ["X-User-Id", "x-user-id, close", "Authorization", "X-Forwarded-For", "X-Secret"]
    )
    async def test_what_a_client_lists_in_connection_is_dropped_and_what_the_gateway_sets_is_not(
        self, gateway: GatewayUnderTest, listed: str
    ) -> None:
        request = (
            "GET /api/v1/catalogue/1 HTTP/1.1\r\nHost: a\r\nX-Secret: 1\r\nX-User-Id: evil\r\n"
            f"Authorization: Bearer {gateway.tokens.token(sid=_SESSION)}\r\nConnection: {listed}\r\n\r\n"
        )

        answer = await gateway.raw(request.encode())

        seen = headers_of(json.loads(answer.partition(b"\r\n\r\n")[2]))
        assert "connection" not in seen
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert ("x-secret" in seen) == (listed != "X-Secret")
        assert ("authorization" in seen) == (listed != "Authorization")
        assert seen.get("x-session-id") == (None if listed == "Authorization" else _SESSION)

    async def test_a_service_is_told_how_the_request_came(self, gateway: GatewayUnderTest) -> None:
        answer = await gateway.client.get("/cut/off/x", headers={"Host": "shop.example:8072"})

        seen = headers_of(answer.json())
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "http"
        assert seen["x-forwarded-host"] == "shop.example:8072"
        assert seen["x-forwarded-prefix"] == "/cut/off"
        assert seen["forwarded"] == 'for=127.0.0.1;host="shop.example:8072";proto=http'
        assert seen["host"] != "shop.example:8072"

    async def test_a_request_has_one_id_on_both_sides(self, gateway: GatewayUnderTest) -> None:
        given = await gateway.client.get("/open/x", headers={"X-Request-Id": "0123-abc.DEF"})
        odd = await gateway.client.get("/open/x", headers={"X-Request-Id": "a b<script>"})
        fresh = await gateway.client.get("/open/x")

        assert given.headers["x-request-id"] == headers_of(given.json())["x-request-id"] == "0123-abc.DEF"
        for answer in (odd, fresh):
            assert str(UUID(answer.headers["x-request-id"])) == headers_of(answer.json())["x-request-id"]

    async def test_a_trace_goes_on_and_one_that_is_none_begins_anew(self, gateway: GatewayUnderTest) -> None:
        trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

        known = await gateway.client.get(
            "/open/x", headers={"traceparent": f"00-{trace_id}-{parent}-01", "tracestate": "a=b"}
        )
        odd = await gateway.client.get(
            "/open/x", headers={"traceparent": f"00-{'0' * 32}-{parent}-01", "tracestate": "a=b"}
        )

        version, same, own, flags = headers_of(known.json())["traceparent"].split("-")
        assert (version, same, flags) == ("00", trace_id, "01")
        assert own != parent
        assert headers_of(known.json())["tracestate"] == "a=b"
        assert headers_of(odd.json())["traceparent"].split("-")[1] not in (trace_id, "0" * 32)
        assert "tracestate" not in headers_of(odd.json())


class TestBodies:
    @pytest.mark.parametrize("size", [0, 1, 60_000, 300_000, 4_000_000])
    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_body_arrives_whole(self, gateway: GatewayUnderTest, size: int, chunked: bool) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, size, 70_000):
                yield b"x" * min(70_000, size - start)

        answer = await gateway.client.post("/open/x", content=pieces() if chunked else b"x" * size)

        assert answer.status_code == 200, answer.text
        assert answer.json()["length"] == size

    async def test_a_body_over_the_limit_is_413_before_it_is_read(
        self, gateway: GatewayUnderTest, upstream: Echo
    ) -> None:
        before = len(upstream.seen)

        announced = await gateway.raw(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000001\r\n\r\n")

        assert announced.startswith(b"HTTP/1.1 413 ")
        assert b"problems/body-too-large" in announced
        assert len(upstream.seen) == before

    async def test_a_body_that_grows_over_the_limit_is_413_while_it_comes(
        self, gateway: GatewayUnderTest, upstream: Echo
    ) -> None:
        before = len(upstream.seen)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 60_000

        answer = await gateway.client.post("/open/x", content=endless())

        assert_problem(answer, 413, "body-too-large")
        assert len(upstream.seen) == before

    async def test_a_refusal_ends_the_connection_of_a_client_that_waits_for_100_continue(
        self, gateway: GatewayUnderTest
    ) -> None:
        request = b"POST /api/v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

        answer = await gateway.raw(request)

        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in answer.lower()

    async def test_a_client_that_waits_for_100_continue_gets_it_once_it_may_pass(
        self, gateway: GatewayUnderTest
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)

        writer.write(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert interim.startswith(b"HTTP/1.1 100 ")
        assert head.startswith(b"HTTP/1.1 200 ")

    async def test_too_many_bytes_of_headers_are_431(self, gateway: GatewayUnderTest) -> None:
        answer = await gateway.client.get("/open/x", headers={"X-Large": "x" * 40_000})

        assert_problem(answer, 431, "headers-too-large")

    async def test_an_endless_target_is_414(self, gateway: GatewayUnderTest) -> None:
        assert_problem(await gateway.client.get(f"/open/{'x' * 9000}"), 414, "target-too-long")

    async def test_a_large_answer_is_streamed_while_it_comes(self, tokens: TokenMaker) -> None:
        rest = asyncio.Event()

        async def play(exchange: Exchange) -> None:
            await exchange.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await rest.wait()
            await exchange.say(b"4\r\nlast\r\n0\r\n\r\n")

        async with (
            wire_upstream(play) as upstream,
            running_gateway(tokens, [open_route(upstream.url)]) as gateway,
            gateway.client.stream("GET", "/open/x") as answer,
        ):
            pieces = answer.aiter_raw()
            first = await anext(pieces)
            rest.set()
            last = await anext(pieces)

        assert (first, last) == (b"first", b"last")

    async def test_the_head_of_an_event_stream_comes_before_its_first_event(self, tokens: TokenMaker) -> None:
        first_event = asyncio.Event()

        async def play(exchange: Exchange) -> None:
            await exchange.say(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            await first_event.wait()
            await exchange.say(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n")

        async with (
            wire_upstream(play) as upstream,
            running_gateway(tokens, [open_route(upstream.url)]) as gateway,
            gateway.client.stream("GET", "/open/x") as answer,
        ):
            kind = answer.headers["content-type"]
            first_event.set()
            events = await answer.aread()

        assert (kind, events) == ("text/event-stream", b"data: 1\n\n")

    async def test_a_client_that_reads_slowly_slows_the_upstream(self, tokens: TokenMaker) -> None:
        sent = 0

        async def play(exchange: Exchange) -> None:
            nonlocal sent
            await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
            for _ in range(2000):
                await exchange.say(b"x" * 100_000)
                sent += 100_000

        async with wire_upstream(play) as upstream, running_gateway(tokens, [open_route(upstream.url)]) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1000)
            writer.write(b"GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            before = -1

            async def stands_still() -> bool:
                nonlocal before
                await asyncio.sleep(0.1)
                before, still = sent, sent == before
                return still

            await until(stands_still)
            writer.transport.abort()

        # What fits into the kernel's and the gateway's buffers, of 200 MB.
        assert 0 < sent < 50_000_000

    async def test_a_slow_upstream_slows_the_client(self, tokens: TokenMaker) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.stall()

        async with (
            wire_upstream(play) as upstream,
            running_gateway(
                tokens, [open_route(upstream.url)], body_limit_bytes=10**9, idle_timeout_seconds=1.0
            ) as gateway,
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n")
            sent = 0

            async def send() -> None:
                nonlocal sent
                while True:
                    writer.write(b"x" * 100_000)
                    await writer.drain()
                    sent += 100_000

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send(), 0.7)
            writer.transport.abort()

        assert 0 < sent < 50_000_000


class TestAnswers:
    async def test_headers_come_back_as_they_were_less_what_is_about_the_connection(self, tokens: TokenMaker) -> None:
        async def play(exchange: Exchange) -> None:
            await exchange.answer(
                b"{}",
                "201 Created",
                b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: yes\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
                b"Keep-Alive: timeout=5\r\nX-Request-Id: theirs\r\nLocation: http://127.0.0.1:%d/cut/7?x\r\n"
                % exchange.writer.get_extra_info("sockname")[1],
            )

        async with wire_upstream(play) as upstream:
            route = {"id": "a", "prefix": "/pre/fix", "uri": upstream.url, "access": "public", "strip-prefix": True}
            async with running_gateway(tokens, [route]) as gateway:
                answer = await gateway.client.get("/pre/fix/x", headers={"X-Request-Id": "ours-0001"})

        assert answer.status_code == 201
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert answer.headers["x-kept"] == "yes"
        assert answer.headers["location"] == "/pre/fix/cut/7?x"  # an address inside the fleet is no client's business
        assert answer.headers.get_list("x-request-id") == ["ours-0001"]
        assert not {"x-hop", "keep-alive", "connection"} & set(answer.headers)

    async def test_a_problem_of_a_service_passes_untouched(self, tokens: TokenMaker) -> None:
        body = b'{"type": "https://flotilla.example/problems/x", "status": 409}'

        async def play(exchange: Exchange) -> None:
            await exchange.answer(body, "409 Conflict", b"Content-Type: application/problem+json\r\n")

        async with wire_upstream(play) as upstream, running_gateway(tokens, [open_route(upstream.url)]) as gateway:
            answer = await gateway.client.get("/open/x")

        assert (answer.status_code, answer.content) == (409, body)
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_the_answer_to_head_has_the_headers_and_no_body(self, gateway: GatewayUnderTest) -> None:
        answer = await gateway.client.head("/open/x")

        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) > 0
        assert answer.content == b""

    async def test_requests_are_counted_by_route_method_and_status(self, gateway: GatewayUnderTest) -> None:
        line = 'gateway_requests_total{method="GET",route="admin",status="403"}'
        before = await gateway.metric(line)

        await gateway.client.get("/admin/x", headers=gateway.tokens.customer())

        assert await gateway.metric(line) == before + 1
        assert await gateway.metric('gateway_request_duration_seconds_count{route="admin"}') > 0

    async def test_a_defect_of_ours_is_500_and_tells_nothing(
        self, tokens: TokenMaker, upstream: Echo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(token: str) -> None:
            raise RuntimeError("a secret")

        async with running_gateway(tokens, [{"id": "a", "prefix": "/a", "uri": upstream.url}]) as gateway:
            monkeypatch.setattr(gateway.security, "caller_of", broken)
            answer = await gateway.client.get("/a", headers=tokens.customer())

        assert_problem(answer, 500, "internal-error")
        assert "secret" not in answer.text

    async def test_a_caller_over_its_limit_is_429_and_others_are_not(self, tokens: TokenMaker, upstream: Echo) -> None:
        routes = [{"id": "a", "prefix": "/a", "uri": upstream.url}]
        async with running_gateway(tokens, routes, rate_per_second=0.001, rate_burst=3) as gateway:
            one, another = tokens.customer(uuid7()), tokens.customer(uuid7())
            statuses = [(await gateway.client.get("/a", headers=one)).status_code for _ in range(4)]
            refused = await gateway.client.get("/a", headers=one)
            other = await gateway.client.get("/a", headers=another)

        assert statuses == [200, 200, 200, 429]
        assert_problem(refused, 429, "too-many-requests")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["ratelimit"].startswith('"default";r=0;t=')
        assert other.status_code == 200

    async def test_bad_tokens_are_counted_against_the_address(self, tokens: TokenMaker, upstream: Echo) -> None:
        routes = [{"id": "a", "prefix": "/a", "uri": upstream.url}]
        async with running_gateway(
            tokens, routes, rate_per_second=0.001, rate_burst=3, rate_address_share=1
        ) as gateway:
            statuses = [
                (await gateway.client.get("/a", headers={"Authorization": "Bearer x"})).status_code for _ in range(4)
            ]

        assert statuses == [401, 401, 401, 429]


def open_route(url: str) -> dict[str, str]:
    return {"id": "open", "prefix": "/open", "uri": url, "access": "public"}

"""Forwards one request and streams the answer back; a pure ASGI application."""

import asyncio
import logging
import re
import time
from collections.abc import Callable

import httpx
from chassis.ids import uuid7
from chassis.problems import NotAllowed, NotAuthenticated, Problem
from chassis.security import Caller, Security
from starlette.types import Receive, Scope, Send

from .ambiguity import read_path
from .balancer import Backend, Balancer
from .body import read_body
from .call import Call
from .dispatch import Dispatcher
from .errors import AmbiguousRequest, ClientGone, ClientTooSlow, NoRoute, Unexpected, send_problem
from .headers import ClientHeaders, RawHeaders, returned_headers
from .identity import caller_headers, caller_of, forwarding_headers
from .limits import RateLimiter
from .metrics import count_request
from .routes import Access, Match, RouteTable
from .settings import Settings
from .tracing import is_recorded, trace_headers, traced
from .upstream import CompleteBody, RawResponse, UpstreamTransport
from .visits import Visits

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_CLIENT_CLOSED_REQUEST = 499  # nginx's number for it: counted, never sent


class Proxy:
    """Takes every request that is not for the gateway itself."""

    def __init__(
        self,
        settings: Settings,
        *,
        table: Callable[[], RouteTable],
        balancer: Balancer,
        security: Security,
        transport: UpstreamTransport,
        visits: Visits,
    ) -> None:
        self._settings = settings
        self._table = table
        self._is_registered = balancer.is_registered
        self._dispatcher = Dispatcher(balancer, transport)
        self._security = security
        self._visits = visits
        self._limiter = RateLimiter(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        call = Call(scope, self._visits.enter(receive))
        try:
            status = await self._serve(call, send)
        except Problem as problem:
            status = problem.status
            await _refuse(call, problem, send)
        except ClientGone:
            status = _CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            if not call.visit.is_gone:
                raise
            call.visit.task.uncancel()
            status = _CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("unexpected failure of %s %s", scope["method"], call.path, extra=call.log_context())
            status = 500
            await _refuse(call, Unexpected("The request failed here, not because of what was asked."), send)
        finally:
            self._visits.leave(call.visit)
        count_request(call.route_id, scope["method"], status, time.perf_counter() - started)

    async def _serve(self, call: Call, send: Send) -> int:
        """Check, admit, forward, relay; answers the status that was sent."""
        scope = call.scope
        call.path = read_path(scope["raw_path"], scope["query_string"])
        call.headers = headers = ClientHeaders(
            scope["headers"], http_version=scope["http_version"], limit_bytes=self._settings.header_limit_bytes
        )
        if headers.request_id and _REQUEST_ID.fullmatch(headers.request_id):
            call.id = headers.request_id
        else:
            call.id = str(uuid7()).encode("ascii")
        match = self._table().match(scope["method"], call.path, self._is_registered)
        if match is None:
            raise NoRoute(f"No route and no registered service takes {call.path}.")
        call.route_id = match.route_id
        caller = await self._admit(match, headers, call.client)
        if self._settings.otlp_endpoint and is_recorded(headers.traceparent):
            name = f"{scope['method']} {match.route_id}"
            with traced(name, headers.traceparent, headers.tracestate) as call.trace:
                return await self._forward(call, match, caller, send)
        call.trace = trace_headers(headers.traceparent, headers.tracestate)
        return await self._forward(call, match, caller, send)

    async def _admit(self, match: Match, headers: ClientHeaders, client: str) -> Caller | None:
        """The caller, or None for anybody on a public route. Raises NotAuthenticated, NotAllowed, TooManyRequests."""
        # An address may be that of many people, so it may ask for more than one of them.
        share = self._settings.rate_address_share
        if headers.authorization is None and match.access is Access.PUBLIC:
            self._limiter.take(client, share=share)
            return None
        try:
            caller = await caller_of(headers.authorization, self._security)
        except NotAuthenticated:
            self._limiter.take(client, share=share)
            if match.access is Access.PUBLIC:
                return None
            raise
        self._limiter.take(caller.user_id)
        if match.access is Access.ADMIN and not caller.is_admin:
            raise NotAllowed("Only an admin may do this.")
        return caller

    async def _forward(self, call: Call, match: Match, caller: Caller | None, send: Send) -> int:
        assert call.headers is not None
        body = await read_body(
            call.headers,
            call.visit,
            limit_bytes=self._settings.body_limit_bytes,
            patience_seconds=self._settings.idle_timeout_seconds,
        )
        response, backend = await self._dispatcher.dispatch(call, match, _headers_for(call, match, caller, body), body)
        try:
            await self._relay(call, match, response, backend, send)
        finally:
            backend.in_flight -= 1
        return response.status_code

    async def _relay(self, call: Call, match: Match, response: RawResponse, backend: Backend, send: Send) -> None:
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        headers = returned_headers(
            response.raw_headers,
            status=response.status_code,
            origin=backend.host,
            stripped=match.stripped.encode("utf-8"),
        )
        headers.append((b"x-request-id", call.id))
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            call.answered = True
            if isinstance(stream, CompleteBody):
                await send({"type": "http.response.body", "body": stream.content})
                return
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.TransportError as error:
            # The head is out: all that can still be said is that the body is not whole, by closing the connection.
            self._dispatcher.note_failure(call, backend, error)
            return
        finally:
            await stream.aclose()
        await send({"type": "http.response.body", "body": b""})


def _headers_for(call: Call, match: Match, caller: Caller | None, body: httpx.AsyncByteStream) -> RawHeaders:
    """The headers that the service gets, without the Host, which depends on the instance."""
    assert call.headers is not None
    headers = call.headers.passed
    if call.headers.authorization is not None:
        headers.append((b"authorization", call.headers.authorization))
    if isinstance(body, CompleteBody):
        if body.content or call.scope["method"] in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", b"%d" % len(body.content)))
    elif call.headers.is_chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    else:
        headers.append((b"content-length", b"%d" % call.headers.content_length))
    if caller is not None:
        headers += caller_headers(caller)
    scope = call.scope
    headers += forwarding_headers(
        client=call.client, scheme=scope["scheme"], host=call.headers.host, stripped=match.stripped
    )
    headers += call.trace
    headers.append((b"x-request-id", call.id))
    return headers


async def _refuse(call: Call, problem: Problem, send: Send) -> None:
    if call.answered:
        logger.warning("cut off after its answer had begun: %s", problem.detail, extra=call.log_context())
        return
    # The rest of a body is read and thrown away, so that the client gets to read the answer. Not where that would be
    # wrong: a client that waited for 100 Continue sends none, and nobody knows where an ambiguous one ends.
    waits = call.headers is not None and call.headers.expects_continue
    await send_problem(
        send,
        problem,
        instance=call.path or "/",
        request_id=call.id or str(uuid7()).encode("ascii"),
        close=waits or isinstance(problem, AmbiguousRequest | ClientTooSlow),
    )

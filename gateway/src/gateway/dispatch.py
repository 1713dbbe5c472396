"""Calls an instance for a request, and another one where that is safe."""

import logging

import httpx
from chassis.problems import Problem
from starlette.types import Scope

from .balancer import Backend, Balancer
from .breaker import RetryBudget
from .call import Call
from .errors import NoInstanceAvailable, UpstreamFailed, UpstreamTooSlow
from .headers import RawHeaders
from .metrics import RETRIES, UPSTREAM_FAILURES
from .pool import Unreachable
from .routes import Match
from .upstream import CompleteBody, RawRequest, RawResponse, UpstreamTransport

logger = logging.getLogger(__name__)

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 §9.2.2
_MOST_ATTEMPTS = 3
_GATEWAY_FAILURES = frozenset({502, 503, 504})


class Dispatcher:
    """Sends a request to an instance, and to another one if the first fails and that can do no harm.

    It can do none if nothing was sent yet, or if the request may be acted on twice (an idempotent method, or an
    Idempotency-Key) and its body is still here.
    """

    def __init__(self, balancer: Balancer, transport: UpstreamTransport) -> None:
        self._balancer = balancer
        self._transport = transport
        self._retries = RetryBudget()

    async def dispatch(
        self, call: Call, match: Match, headers: RawHeaders, body: httpx.AsyncByteStream
    ) -> tuple[RawResponse, Backend]:
        """The head of the answer, from the first instance that gives one; the backend stays marked as busy."""
        assert call.headers is not None
        method, service = call.scope["method"], match.target.name
        target = _forwarded_target(call.scope, match.stripped)
        replayable = isinstance(body, CompleteBody) and (method in _IDEMPOTENT or call.headers.has_idempotency_key)
        tried: list[Backend] = []
        failure: Problem | None = None
        self._retries.earn()
        while (backend := self._balancer.pick(match.target, tried=tried, probe=replayable)) is not None:
            request = RawRequest(
                method,
                backend.url,
                raw_headers=[(b"host", backend.host), *headers],
                stream=body,
                extensions={"target": target, "origin": backend.origin, "replayable": replayable},
            )
            backend.in_flight += 1
            try:
                response = await self._transport.handle_async_request(request)
            except httpx.TransportError as error:
                backend.in_flight -= 1
                failure = self.note_failure(call, backend, error)
                tried.append(backend)
                nothing_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                broken = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
                may_retry = nothing_sent or (broken and replayable)
                if not may_retry or len(tried) == _MOST_ATTEMPTS or not self._retries.spend():
                    raise failure from error
                RETRIES.labels(service).inc()
                continue
            except BaseException:
                # The client is gone or has broken a rule: that says nothing about the instance.
                backend.in_flight -= 1
                backend.breaker.end_probe()
                raise
            if response.status_code in _GATEWAY_FAILURES:
                UPSTREAM_FAILURES.labels(service, "status").inc()
                self._balancer.failed(backend)
            else:
                self._balancer.succeeded(backend)
            return response, backend
        raise failure or NoInstanceAvailable(
            f"No instance of {service} can be called at the moment; try again shortly.", headers={"Retry-After": "1"}
        )

    def note_failure(self, call: Call, backend: Backend, error: httpx.TransportError) -> Problem:
        """Tell the breaker, the metrics and the log; answers what the client is told if it is not tried again."""
        service = backend.service
        reason, problem = _explain(service, error)
        if isinstance(error, httpx.PoolTimeout):
            backend.breaker.end_probe()  # the instance is busy, not broken
        else:
            self._balancer.failed(backend, nobody_there=isinstance(error, Unreachable) and error.is_refused)
        UPSTREAM_FAILURES.labels(service, reason).inc()
        logger.warning("%s at %s failed: %s", service, backend.authority, error, extra=call.log_context())
        return problem


def _forwarded_target(scope: Scope, stripped: str) -> bytes:
    """The request target as it goes on: the raw bytes that were checked, less what is stripped off their front."""
    target: bytes = scope["raw_path"]
    if stripped:
        target = _without_segments(target, stripped.count("/"))
    query: bytes = scope["query_string"]
    return target + b"?" + query if query else target


def _without_segments(raw_path: bytes, count: int) -> bytes:
    # By segments rather than by length: the stripped part may be percent-encoded in the raw path.
    rest = raw_path.split(b"/", count + 1)[count + 1 :]
    return b"/" + rest[0] if rest else b"/"


def _explain(service: str, error: httpx.TransportError) -> tuple[str, Problem]:
    """A word for the metrics, and the problem for the client, which names no address."""
    if isinstance(error, httpx.PoolTimeout):
        return "busy", NoInstanceAvailable(
            f"{service} has all it can do at the moment; try again shortly.", headers={"Retry-After": "1"}
        )
    if isinstance(error, httpx.ConnectTimeout):
        return "connect-timeout", UpstreamTooSlow(f"No connection to {service} came about in time.")
    if isinstance(error, httpx.TimeoutException):
        return "timeout", UpstreamTooSlow(f"{service} did not answer in time; it may have done what was asked.")
    if isinstance(error, httpx.ConnectError):
        return "refused", UpstreamFailed(f"{service} can't be reached; nothing was done.")
    return "broken", UpstreamFailed(f"The connection to {service} broke; it may have done what was asked.")

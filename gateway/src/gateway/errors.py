"""What can go wrong at the gateway, as the client reads it."""

import json

from chassis.problems import BadRequest, NotFound, Problem, problem_document
from starlette.types import Send


class NoRoute(NotFound):
    code = "no-route"
    title = "Nothing is served at this path"


class AmbiguousRequest(BadRequest):
    code = "ambiguous-request"
    title = "The request could be read in more than one way"


class MalformedRequest(BadRequest):
    code = "malformed-request"
    title = "The request is not HTTP as it should be"


class ClientTooSlow(Problem):
    status = 408
    code = "body-stalled"
    title = "The rest of the request did not come"


class TargetTooLong(Problem):
    status = 414
    code = "target-too-long"
    title = "The address is too long"


class TooManyRequests(Problem):
    status = 429
    code = "too-many-requests"
    title = "Too many requests"


class HeadersTooLarge(Problem):
    status = 431
    code = "headers-too-large"
    title = "The headers are too large"


class Unexpected(Problem):
    """A defect of the gateway, with the base class's status and title."""


class UpstreamFailed(Problem):
    status = 502
    code = "upstream-failed"
    title = "The service behind this path did not answer properly"


class NoInstanceAvailable(Problem):
    status = 503
    code = "no-instance"
    title = "The service behind this path is not there at the moment"


class UpstreamTooSlow(Problem):
    status = 504
    code = "upstream-too-slow"
    title = "The service behind this path did not answer in time"


class ClientGone(Exception):
    """The client has closed its connection."""


def problem_body(problem: Problem, instance: str | None = None) -> bytes:
    """The problem as a document (RFC 9457)."""
    document = problem_document(
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        instance=instance,
        **problem.extensions,
    )
    return json.dumps(document, ensure_ascii=False).encode()


async def send_problem(send: Send, problem: Problem, *, instance: str, request_id: bytes, close: bool = False) -> None:
    """Answer with a problem document; `close` ends the connection after it."""
    body = problem_body(problem, instance)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id),
        *((name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()),
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""What can go wrong, as the client reads it: Spring Boot's error document."""

import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from chassis.problems import Problem
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from .media_types import V1, V2, wanted_media_type

logger = logging.getLogger(__name__)


class RepositoryUnusable(Problem):
    status = 503
    code = "repository-unusable"
    title = "The configuration repository can't be read"


class FetchFailed(Problem):
    """Nothing new could be had from another machine; what is here goes on being served."""

    status = 502
    code = "fetch-failed"
    title = "The remote repository can't be fetched"


class NothingServed(Problem):
    """Spring answers an unknown label, and a default label that can't be read, alike: there is nothing here."""

    status = 404
    code = "nothing-served"
    title = "There is no configuration under this address"


class LabelMissing(NothingServed):
    """The repository has no branch, tag or commit of this name."""


class DefaultUnreadable(NothingServed):
    """The default label can't be served, and never could since the process started."""


class ConfigurationUnreadable(Problem):
    status = 500
    code = "configuration-unreadable"
    title = "A configuration file can't be read"


class ResourceMissing(Problem):
    """Of plain files Spring answers those that are missing without a word."""

    status = 404
    code = "resource-missing"
    title = "There is no such file"


class NotAcceptable(Problem):
    status = 406
    code = "not-acceptable"
    title = "Environments are JSON"


class CredentialNeeded(Problem):
    status = 401
    code = "credential-needed"
    title = "A credential is needed"

    def __init__(self, detail: str) -> None:
        accepted = 'Basic realm="config-server", charset="UTF-8", Bearer realm="config-server"'
        super().__init__(detail, headers={"WWW-Authenticate": accepted})


def answer_like_spring(app: FastAPI) -> None:
    """Every error of this app as Spring Boot's error document, since this is what its clients read."""
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(HTTPException, _render_http_exception)
    app.add_exception_handler(Exception, _render_unexpected)


def error_document(scope: Any, status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """`timestamp, status, error, path`, and the `message` that Spring keeps to itself where it matters.

    A 404 and a 405 are as the Spring server has them, to the letter, since clients compare; there the reason is in
    the header X-Config-Reason, which all errors have.
    """
    now = datetime.now(UTC)
    document: dict[str, Any] = {
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
        "status": status,
        "error": HTTPStatus(status).phrase,
        "path": raw_path(scope),
    }
    if status not in (404, 405):
        document["message"] = reason
    all_headers = {**(headers or {}), "X-Config-Reason": _printable(reason)}
    accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
    return JSONResponse(document, status, all_headers, media_type=wanted_media_type(accept) or V1)


def _printable(reason: str) -> str:
    """For a header, which is Latin-1 without line breaks (RFC 9110 §5.5)."""
    return "".join(character if " " <= character <= "~" else "?" for character in reason)[:500]


def raw_path(scope: Any) -> str:
    """The path as it was sent, nothing decoded."""
    raw: bytes | None = scope.get("raw_path")
    return str(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")


async def _render_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    if isinstance(error, NotAcceptable):
        return Response(status_code=error.status, headers={"Accept": f"{V2}, {V1}", "X-Config-Reason": error.detail})
    if isinstance(error, ResourceMissing):
        return Response(status_code=error.status, headers={"X-Config-Reason": _printable(error.detail)})
    return error_document(request.scope, error.status, error.detail, error.headers)


async def _render_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and headers.get("Allow") != "POST":
        headers["Allow"] = "GET"  # for HEAD and OPTIONS there are routes of their own, which Spring does not name
    return error_document(request.scope, error.status_code, str(error.detail), headers)


async def _render_unexpected(request: Request, error: Exception) -> Response:
    logger.error("unexpected failure of %s %s", request.method, request.url.path, exc_info=error)
    return error_document(request.scope, 500, "The request failed here, not because of what was asked.")

"""What every HTTP service does alike: problems, request ids, trace context, body limit, metrics, /actuator/*."""

import json
import logging
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .actuator import actuator_routes
from .health import Health
from .http_metrics import count_instrumented
from .ids import uuid7
from .logs import log_context
from .openapi import document_problems
from .problems import BodyTooLarge, Problem, problem_document, reason_phrase
from .security import Security
from .settings import ServiceSettings
from .telemetry import SpanKind, span

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text can't have the character NUL in it")  # PostgreSQL keeps any other one
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("a text can't have half a character (a lone surrogate) in it")  # no UTF-8 has
    return value


# A text from a query, a path or a cursor; in a Body every text is checked.
PlainText = Annotated[str, BeforeValidator(_storable)]


class Body(BaseModel):
    """A JSON body that is asked for: an unknown field in it is an error, not a surprise later; so is a text that
    can't be kept, and anything but a whole number where one is wanted (pydantic alone would take "1_0" and true).
    """

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if wanted in (int, int | None) and not (value is None or type(value) is int):
            raise ValueError("write a whole number, without quotes or a point")
        return _storable(value)


# For FastAPI's `telemetry`: a request's span and its metrics are made here, and FastAPI's would be second ones.
NO_SECOND_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def add_service_defaults(
    app: FastAPI, settings: ServiceSettings, *, health: Health, security: Security | None = None
) -> None:
    """Give a FastAPI app what every service of the fleet has.

    With `security`, the parts of /actuator that show or change the inside are there for admins; without, not at all.
    """
    app.state.settings = settings
    app.state.security = security
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http_exception)
    app.add_exception_handler(Exception, _render_unexpected)
    app.add_middleware(RequestContext, settings=settings)
    Instrumentator(excluded_handlers=["/actuator/.*"]).add(count_instrumented).instrument(app)
    app.include_router(actuator_routes(settings, health, admin=security is not None))
    document_problems(app)


class ProblemResponse(JSONResponse):
    """A problem document with its media type (RFC 9457 §3)."""

    media_type = PROBLEM_JSON

    def render(self, content: Any) -> bytes:
        # In ASCII: a problem that quotes half a character must not become one itself.
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class RequestContext:
    """Pure ASGI: names the request in logs and traces, and refuses a body over the limit while it is read."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/actuator/"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = headers.get("x-request-id") or str(uuid7())
        limit = self._settings.max_body_bytes
        if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > limit:
            await _respond(_too_large(limit), scope["path"])(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # FastAPI turns whatever else is raised while it reads a body into a 400.
                raise HTTPException(BodyTooLarge.status, _too_large(limit).detail)
            return message

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        token = log_context.set({"request_id": request_id})
        try:
            with span(scope["method"], SpanKind.SERVER, carrier=headers) as current:
                await self._app(scope, receive_within_limit, send_with_id)
                # The route's template, not the path: names of spans are few (OpenTelemetry's semantic conventions).
                current.update_name(f"{scope['method']} {getattr(scope.get('route'), 'path', '')}".strip())
        finally:
            log_context.reset(token)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {limit} bytes are read here.")


async def _render_problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return _respond(problem, request.url.path)


def _respond(problem: Problem, path: str) -> JSONResponse:
    document = problem_document(
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        instance=path,
        **jsonable_encoder(problem.extensions),
    )
    return ProblemResponse(document, problem.status, headers=problem.headers)


async def _render_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"detail": e["msg"], "pointer": _pointer(e["loc"])} for e in error.errors()]
    broken_json = any(e["type"] == "json_invalid" for e in error.errors())
    first = errors[0]
    document: dict[str, Any] = problem_document(
        status=400 if broken_json else 422,
        code="malformed-json" if broken_json else "invalid-request",
        title="The body is not JSON" if broken_json else "The request has something in it that can't be used",
        detail=f"{first['pointer']}: {first['detail']}" + (f" (and {len(errors) - 1} more)" if errors[1:] else ""),
        instance=request.url.path,
        errors=errors,
    )
    return ProblemResponse(document, document["status"])


def _pointer(location: tuple[int | str, ...]) -> str:
    """Where in the request: a JSON pointer into the body (RFC 6901), or `query: limit`, `header: ...`, `path: ...`."""
    where, *rest = location
    if where == "body":
        return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in rest)
    return f"{where}: {'.'.join(map(str, rest))}"


async def _render_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == BodyTooLarge.status:  # it was raised as FastAPI lets it through: see RequestContext
        return _respond(BodyTooLarge(str(error.detail)), request.url.path)
    document = problem_document(
        status=error.status_code,
        code=None,
        title=reason_phrase(error.status_code),
        detail=str(error.detail),
        instance=request.url.path,
    )
    return ProblemResponse(document, error.status_code, headers=error.headers)


async def _render_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("unexpected failure of %s %s", request.method, request.url.path, exc_info=error)
    document = problem_document(
        status=500,
        code="internal-error",
        title="Something went wrong",
        detail="The request failed here, not because of what was asked; it is in our logs with its x-request-id.",
        instance=request.url.path,
    )
    return ProblemResponse(document, 500)

"""Problem: a failure that was foreseen, told to the client as RFC 9457 wants it. Imports no framework."""

from http import HTTPStatus
from typing import Any, ClassVar

TYPE_PREFIX = "https://flotilla.example/problems/"


class Problem(Exception):
    """Raise a subclass anywhere, domain code included; `chassis.web` renders it at the edge.

    `detail` is a sentence that helps the one who asked; `extensions` become further members of the
    problem document (RFC 9457 §3.2); `headers` go out with the answer.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions


def problem_document(
    *, status: int, code: str | None, title: str, detail: str, instance: str | None = None, **extensions: Any
) -> dict[str, Any]:
    """The members of a problem document; without a `code` its type is `about:blank` (RFC 9457 §4.2.1)."""
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + code if code else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if instance is not None:
        document["instance"] = instance
    return document | extensions


def reason_phrase(status: int) -> str:
    """The standard phrase of a status code, for problems that have no title of their own."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


class BadRequest(Problem):
    status = 400
    code = "bad-request"
    title = "The request can't be understood"


class NotAuthenticated(Problem):
    status = 401
    code = "not-authenticated"
    title = "A valid access token is needed"

    def __init__(self, detail: str, **extensions: Any) -> None:
        # RFC 6750 §3: a 401 names the scheme that would have been accepted.
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **extensions)


class NotAllowed(Problem):
    status = 403
    code = "not-allowed"
    title = "This is not yours to do"


class NotFound(Problem):
    status = 404
    code = "not-found"
    title = "There is no such thing here"


class BodyTooLarge(Problem):
    status = 413
    code = "body-too-large"
    title = "The body is too large"

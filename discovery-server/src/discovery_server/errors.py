"""What can go wrong, and how Eureka's clients have to hear of it: by status, with an empty body."""

from chassis.problems import Problem

REASON_HEADER = "X-Discovery-Error"
_LONGEST_REASON = 300


class EurekaProblem(Problem):
    """A failure below /eureka. Its sentence travels in a header, because the body has to be empty."""

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        reason = "".join(filter(str.isprintable, detail.encode("ascii", "backslashreplace").decode("ascii")))
        super().__init__(detail, headers={REASON_HEADER: reason[:_LONGEST_REASON]} | (headers or {}))


class Unreadable(EurekaProblem):
    status = 400
    code = "unreadable"
    title = "The request can't be understood"


class Incomplete(EurekaProblem):
    status = 400
    code = "incomplete-instance"
    title = "Something is missing in the instance"


class NoSuchInstance(EurekaProblem):
    """To a client that renews this means: register again."""

    status = 404
    code = "no-such-instance"
    title = "No such instance is registered"


class NoSuchPath(EurekaProblem):
    status = 404
    code = "no-such-path"
    title = "There is nothing here"


class NoSuchMethod(EurekaProblem):
    status = 405
    code = "method-not-allowed"
    title = "This can't be done here"


class NotAcceptable(EurekaProblem):
    status = 406
    code = "not-acceptable"
    title = "Only XML and JSON are spoken here"


class NotReadYet(EurekaProblem):
    """An empty registry would be believed: a reader that hears this keeps what it knows, or asks another server."""

    status = 503
    code = "not-read-yet"
    title = "The registry is not complete yet"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class TooManyReaders(EurekaProblem):
    status = 503
    code = "too-many-readers"
    title = "Nobody else can follow the registry at the moment"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class UnsupportedMediaType(EurekaProblem):
    status = 415
    code = "unsupported-media-type"
    title = "Only XML and JSON are read here"


# RFC 9110 §11.6.1: a 401 names the scheme that would have been accepted; a 403 may.
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="discovery-server", charset="UTF-8"'}


class CredentialNeeded(EurekaProblem):
    status = 401
    code = "credential-needed"
    title = "A registered credential is needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=_CHALLENGE)


class NotYourName(EurekaProblem):
    status = 403
    code = "not-your-name"
    title = "This name belongs to somebody else"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=_CHALLENGE)


class TakenByAnother(EurekaProblem):
    status = 403
    code = "taken-by-another"
    title = "This instance belongs to somebody else"


class NotAllowedHere(EurekaProblem):
    status = 403
    code = "not-allowed"
    title = "This is not yours to do"

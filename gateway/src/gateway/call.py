"""What is known of one request while it is served."""

from starlette.types import Scope

from .headers import ClientHeaders, RawHeaders
from .tracing import trace_id_of
from .visits import Visit


class Call:
    """Filled in as the request is read, checked and answered."""

    __slots__ = ("answered", "headers", "id", "path", "route_id", "scope", "trace", "visit")

    def __init__(self, scope: Scope, visit: Visit) -> None:
        self.scope = scope
        self.visit = visit
        self.id = b""
        self.path = ""
        self.route_id = "none"
        self.headers: ClientHeaders | None = None
        self.trace: RawHeaders = []
        self.answered = False

    @property
    def client(self) -> str:
        """The address on the other side of the connection."""
        client = self.scope.get("client")
        return client[0] if client else "unknown"

    def log_context(self) -> dict[str, str]:
        """What a log line of this request carries."""
        return {"request_id": self.id.decode("ascii"), "trace_id": trace_id_of(self.trace), "route": self.route_id}

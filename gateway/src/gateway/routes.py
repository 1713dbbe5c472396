"""The route table: which path goes to which service, and who may pass."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator


class RouteTable:
    """The routes, ready to be asked. It is never changed, only replaced: a request sees one table or the next."""

    def __init__(
        self, routes: "Sequence[Route]", *, admin_only_services: Sequence[str] = (), own_name: str = ""
    ) -> None:
        self.routes = tuple(routes)
        self._by_prefix: Mapping[str, Route] = {route.prefix: route for route in routes}
        self._by_service: dict[str, list[Route]] = {}
        for route in routes:
            if route.target.address is None:
                self._by_service.setdefault(route.target.name, []).append(route)
        self._admin_only = frozenset(name.lower() for name in admin_only_services)
        self._own_name = own_name

    def match(self, method: str, path: str, is_registered: Callable[[str], bool]) -> "Match | None":
        """Where a request goes; `path` is decoded and free of ambiguity. None: nobody takes it.

        The longest prefix of the table wins; then the name of a registered service; then a route that takes all.
        """
        prefix = path
        while len(prefix) > 1:
            if (route := self._by_prefix.get(prefix)) is not None:
                return self._by_route(route, method, path)
            prefix = prefix[: prefix.rfind("/")]
        name, slash, rest = path[1:].partition("/")
        service = name.lower()
        if name.isascii() and service != self._own_name and (service in self._by_service or is_registered(service)):
            return self._by_name(service, method, slash + rest or "/", f"/{name}")
        root = self._by_prefix.get("/")
        return self._by_route(root, method, path) if root is not None else None

    def _by_route(self, route: "Route", method: str, path: str) -> "Match":
        stripped = route.prefix if route.strip_prefix and route.prefix != "/" else ""
        seen = path[len(stripped) :] or "/"
        return Match(route.id, route.target, stripped, _at_least_admin(seen, route.access_of(method, seen)))

    def _by_name(self, service: str, method: str, seen: str, stripped: str) -> "Match":
        # The rules of the routes to this very service hold for the same paths here; another service's rules do not.
        routes = [route for route in self._by_service.get(service, ()) if covers(route.seen_prefix, seen)]
        longest = max((len(route.seen_prefix) for route in routes), default=0)
        access = max(
            (route.access_of(method, seen) for route in routes if len(route.seen_prefix) == longest),
            default=Access.AUTHENTICATED,
        )
        if service in self._admin_only:
            access = Access.ADMIN
        return Match(service, Target(service), stripped, _at_least_admin(seen, access))


def covers(prefix: str, path: str) -> bool:
    """Whether the path lies under the prefix, by whole segments."""
    return prefix == "/" or path == prefix or path.startswith(f"{prefix}/")


def _at_least_admin(seen: str, access: "Access") -> "Access":
    # No route can make a service's actuator public, whatever its rules say.
    return Access.ADMIN if seen[:9].lower() == "/actuator" and seen[9:10] in ("", "/") else access


class Access(IntEnum):
    """Who may pass; the greater, the stricter."""

    PUBLIC = 0
    AUTHENTICATED = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class Match:
    """What the table says of one request."""

    route_id: str
    target: "Target"
    stripped: str  # what is cut off the path before it goes on; "" for nothing
    access: Access


_SERVICE_ID = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: a service by its name in discovery, or one fixed address."""

    name: str
    address: tuple[str, int] | None = None

    @classmethod
    def of(cls, uri: str) -> "Target":
        """Read `lb://service-id` or `http://host:port`. Raises ValueError."""
        parts = urlsplit(uri)
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"uri {uri!r} has more than a scheme and a host; nothing else can be part of it")
        if parts.scheme == "lb" and _SERVICE_ID.fullmatch(parts.netloc):
            return cls(parts.netloc.lower())
        if parts.scheme == "http" and parts.hostname:
            return cls(parts.netloc, (parts.hostname, parts.port or 80))
        raise ValueError(f"uri {uri!r} is neither lb://service-id nor http://host:port")


def _access(value: Any) -> Any:
    if isinstance(value, str):
        if value.upper() not in Access.__members__:
            raise ValueError(f"access is public, authenticated or admin, not {value!r}")
        return Access[value.upper()]
    return value


_AccessField = Annotated[Access, BeforeValidator(_access)]


class _Written(BaseModel):
    # Keys as config files write them (`strip-prefix`); an unknown one is a slip that deserves a sentence.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, alias_generator=lambda name: name.replace("_", "-")
    )


class Rule(_Written):
    """An exception to a route's access."""

    path: str = Field(description="as the service sees it; `*` is one segment, `**` at the end is any rest, or none")
    methods: tuple[str, ...] = Field((), description="none means all; GET includes HEAD")
    access: _AccessField

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError(f"path {path!r} must begin with a slash")
        if "**" in path.removesuffix("/**"):
            raise ValueError(f"path {path!r}: ** can only be its last segment")
        return path

    @field_validator("methods")
    @classmethod
    def _with_head(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        named = {method.upper() for method in methods}
        return tuple(sorted(named | {"HEAD"} if "GET" in named else named))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        body, rest = (self.path[:-3], "(?:/.*)?") if self.path.endswith("/**") else (self.path, "")
        return re.compile("[^/]+".join(re.escape(part) for part in body.split("*")) + rest, re.DOTALL)

    def fits(self, method: str, path: str) -> bool:
        return (not self.methods or method in self.methods) and self._pattern.fullmatch(path) is not None


class Route(_Written):
    """One line of the table."""

    id: str = Field(min_length=1, description="its name in metrics and logs")
    prefix: str = Field(description="of the paths that it takes, by whole segments; the longest prefix wins")
    uri: str = Field(description="lb://service-id or http://host:port")
    strip_prefix: bool = Field(False, description="whether the service sees the path without the prefix")
    access: _AccessField = Field(Access.AUTHENTICATED, description="public, authenticated or admin")
    rules: tuple[Rule, ...] = Field((), description="exceptions to it; the first one that fits decides")

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not prefix.startswith("/") or re.search(r"//|[?#%*;\\\s]|/\.\.?(?:/|$)", prefix):
            raise ValueError(f"prefix {prefix!r} must be a plain path that begins with a slash, such as /api/v1/orders")
        return prefix.rstrip("/") or "/"

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, uri: str) -> str:
        Target.of(uri)
        return uri

    @cached_property
    def target(self) -> Target:
        return Target.of(self.uri)

    @property
    def seen_prefix(self) -> str:
        """The prefix of this route's paths as the service sees them."""
        return "/" if self.strip_prefix else self.prefix

    def access_of(self, method: str, path: str) -> Access:
        """Who may call this path, given as the service sees it."""
        for rule in self.rules:
            if rule.fits(method, path):
                return rule.access
        return self.access


def refuse_contradictions(routes: list[Route]) -> list[Route]:
    """The same routes. Raises ValueError where two of them want the same thing."""
    ids: set[str] = set()
    owners: dict[str, str] = {}
    for route in routes:
        if route.id in ids:
            raise ValueError(f"two routes have the id {route.id!r}; each needs its own")
        if route.prefix in owners:
            raise ValueError(f"the routes {owners[route.prefix]!r} and {route.id!r} share the prefix {route.prefix}")
        ids.add(route.id)
        owners[route.prefix] = route.id
    return routes

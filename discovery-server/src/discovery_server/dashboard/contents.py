"""What a page shows of the registry: chosen, counted and bounded. Knows nothing of HTML."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from urllib.parse import urlencode

from discovery_server.registry.instance import Instance, Status
from discovery_server.registry.leases import LeaseView, Name
from discovery_server.registry.preservation import Pulse
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import SERVING

# What bounds a page, however much is registered: applications and instances on it, instances of each application.
APPLICATIONS_SHOWN = 100
INSTANCES_SHOWN = 200
INSTANCES_OF_ONE_SHOWN = 50
INSTANCES_ON_A_PAGE_OF_ONE = 200

_ALL_OPEN_UP_TO = 40  # instances; beyond, an application is closed unless something is the matter with it

# What can be looked for beside the statuses.
NOT_READY, LATE, KEPT = "not-ready", "late", "kept"
STATES = (*Status.__members__, NOT_READY, LATE, KEPT)

# The worse, the earlier it is shown.
_KEPT, _NOT_UP, _LATE, _WELL = range(4)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see; as the page's address has it."""

    words: str = ""
    state: str = ""  # one of STATES, or any
    app: str = ""
    page: int = 1

    @property
    def filters(self) -> bool:
        return bool(self.words.split() or self.state)

    def address(self, *, app: str | None = None, page: int | None = None) -> str:
        """The page's address; with another application, on another page."""
        app, page = self.app if app is None else app, self.page if page is None else page
        pairs = {"q": self.words, "status": self.state, "app": app, "page": page if page > 1 else ""}
        said = {name: value for name, value in pairs.items() if value}
        return "/?" + urlencode(said) if said else "/"

    def choose(self, views: list[LeaseView], *, late: Container[Name], kept: Container[Name]) -> list[LeaseView]:
        """Those that are in the state, and have every word somewhere in what is shown of them."""
        match self.state:
            case "":
                pass
            case "late" | "kept":
                names = late if self.state == LATE else kept
                views = [view for view in views if (view.instance.app, view.instance.key) in names]
            case "not-ready":
                views = [view for view in views if view.instance.status not in SERVING]
            case status:
                views = [view for view in views if view.instance.status == status]
        if words := self.words.lower().split():
            views = [view for view in views if _has_all(words, _text(view))]
        return views


@dataclass(slots=True)
class Application:
    """One application's line: all that match are counted, some are shown."""

    name: str
    statuses: Counter[Status]
    views: list[LeaseView]  # all that match
    shown: Sequence[LeaseView] = ()  # the troubled first
    open: bool = False

    @property
    def size(self) -> int:
        return len(self.views)


@dataclass(slots=True)
class Contents:
    """All that a page shows of who is registered."""

    wish: Wish
    lease_factor: float = 1.0  # a lease lasts so many durations
    applications: list[Application] = field(default_factory=list)  # of this page
    pages: int = 1  # how many there are
    matching: int = 0  # instances
    # Of everybody, whatever is wished for:
    statuses: Counter[Status] = field(default_factory=Counter)
    application_count: int = 0
    late: set[Name] = field(default_factory=set)

    @property
    def instance_count(self) -> int:
        return sum(self.statuses.values())


def gather(registry: Registry, wish: Wish, *, lease_factor: float = 1.0) -> Contents:
    """What to show for a wish: by application, in order of names."""
    by_app: dict[str, list[LeaseView]] = {}
    contents = Contents(wish, lease_factor)
    for view in registry.leases():
        instance = view.instance
        by_app.setdefault(instance.app, []).append(view)
        if is_late(view, lease_factor):
            contents.late.add((instance.app, instance.key))
    contents.application_count = len(by_app)
    found = []
    for name, views in sorted(by_app.items()):
        statuses = _count(views)
        contents.statuses += statuses
        if wish.app and name != wish.app:
            continue
        matching = wish.choose(views, late=contents.late, kept=registry.kept)
        if matching:
            found.append(Application(name, statuses if len(matching) == len(views) else _count(matching), matching))
    contents.matching = sum(application.size for application in found)
    size, of_page = (contents.matching, INSTANCES_ON_A_PAGE_OF_ONE) if wish.app else (len(found), APPLICATIONS_SHOWN)
    contents.pages = max(1, -(-size // of_page))
    contents.wish = replace(wish, page=min(wish.page, contents.pages))
    start = 0 if wish.app else (contents.wish.page - 1) * APPLICATIONS_SHOWN
    contents.applications = found[start : start + APPLICATIONS_SHOWN]
    _choose_instances(contents, registry.kept)
    return contents


def version(instance: Instance) -> str:
    return instance.metadata.get("version", "")


def zone(instance: Instance) -> str:
    return instance.metadata.get("zone") or instance.data_center.metadata.get("availability-zone", "")


def is_late(view: LeaseView, lease_factor: float) -> bool:
    """Whether a renewal is overdue, though the lease may still hold."""
    lease = view.instance.lease
    duration = lease.duration_seconds * lease_factor
    return Pulse("", "", view.silent_seconds, lease.renewal_interval_seconds, duration).is_silent


def _choose_instances(contents: Contents, kept: Container[Name]) -> None:
    """Set which instances are shown, and which applications are open: the ones in trouble when not all can be."""
    wish, late = contents.wish, contents.late

    def trouble(view: LeaseView) -> int:
        instance = view.instance
        name = instance.app, instance.key
        if name in kept:
            return _KEPT
        return _NOT_UP if instance.status is not Status.UP else _LATE if name in late else _WELL

    worst = {application.name: min(map(trouble, application.views)) for application in contents.applications}
    left = INSTANCES_ON_A_PAGE_OF_ONE if wish.app else INSTANCES_SHOWN
    for application in sorted(contents.applications, key=lambda application: worst[application.name]):
        if not left:
            break
        start, most = (wish.page - 1) * left if wish.app else 0, left if wish.app else min(INSTANCES_OF_ONE_SHOWN, left)
        application.views.sort(key=lambda view: (trouble(view), view.instance.key))
        application.shown = application.views[start : start + most]
        left -= len(application.shown)
        troubled = worst[application.name] < _LATE
        application.open = troubled or wish.filters or bool(wish.app) or contents.matching <= _ALL_OPEN_UP_TO


def _count(views: list[LeaseView]) -> Counter[Status]:
    return Counter(map(attrgetter("instance.status"), views))


def _text(view: LeaseView) -> str:
    instance = view.instance
    texts = (instance.app, instance.key, instance.host_name, instance.ip_address, version(instance), zone(instance))
    return "\n".join((*texts, instance.status, view.owner or "")).lower()


def _has_all(words: Sequence[str], text: str) -> bool:
    return all(word in text for word in words)

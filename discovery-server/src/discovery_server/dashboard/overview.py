"""The page at `/`: totals, who is registered, who came and left, the other servers, self-preservation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from discovery_server.peers.peers import PeerView
from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry

from . import keeping
from .contents import KEPT, LATE, NOT_READY, Contents, Wish, gather
from .document import document
from .history import latest
from .instances import applications, filter_form
from .servers import peers_section
from .spans import span
from .templates import Html

PAUSE_SECONDS = 2.0  # between two looks of an open page

_SHARED_SECONDS = 1.0
_MOST_SHARED = 20

_HEADER = Html("""<header class="top">
<div><p class="name"><a href="/">discovery-server</a></p>
<p class="sub">server <span class="mono" title="{id}">{short}</span> · up <span data-age="{up}">{up_said}</span>
 · <span class="state">{state}</span></p></div>
<p class="live" data-live-state><noscript><a href="">Reload</a></noscript></p>
</header>
""")
_MAIN = Html("""<h1 class="unseen" data-key="title">Who is registered</h1>
<p class="unseen" role="status" aria-live="polite" data-key="summary">{summary}</p>
{banner}
<dl class="totals" data-key="totals">{totals}</dl>
<section data-key="registered" aria-labelledby="registered">
<div class="bar"><h2 id="registered">{title}</h2>{filter}</div>
{applications}
</section>
{latest}
{peers}{preservation}
<footer data-key="footer"><nav aria-label="For programs">
<a href="/lastn">the last 1,000</a> <a href="/eureka/apps">/eureka/apps</a>
<a href="/discovery/departures">/discovery/departures</a> <a href="/discovery/peers">/discovery/peers</a>
<a href="/discovery/preservation">/discovery/preservation</a> <a href="/actuator/health">health</a>
<a href="/actuator/prometheus">metrics</a></nav></footer>
""")
_ONE_APP = Html('{app} <a class="sub" href="{address}">all applications</a>')
_MATCH = Html(' <span class="sub">{matching} of {count} match, <a href="/">show all</a></span>')
_SHOW = Html('<a href="{address}" aria-label="{label}: {value}; show them">{value}</a>')
_TOTAL = Html('<div data-key="{label}" class="{css}"><dt>{label}</dt><dd>{value}</dd></div>')


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the page tells beside the registry."""

    registry: Registry
    up_since: float  # of the registry's steady clock
    not_serving: Callable[[], str | None] = lambda: None  # why reads are refused for now; None: they are answered
    lease_factor: float = 1.0
    peers: Callable[[], Sequence[PeerView]] = tuple


def header(around: Surroundings) -> Markup:
    """The server's name, age and state."""
    registry = around.registry
    up = registry.clock.monotonic_seconds() - around.up_since
    why = around.not_serving()
    return _HEADER(
        id=registry.server_id,
        short=registry.server_id[:8],
        up=int(up),
        up_said=span(up),
        state=f"reads are refused: {why}" if why else "serving",
    )


class Overviews:
    """Pages that several people look at, written once a second: with 10,000 instances one takes 50 ms."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._kept: dict[Wish, tuple[int, float, str]] = {}

    def write(self, wish: Wish) -> str:
        """The page as it is, or was up to a second ago if nothing has changed since but ages."""
        registry = self._around.registry
        now = registry.clock.monotonic_seconds()
        version, at, written = self._kept.get(wish, (0, 0.0, ""))
        if version != registry.version or now - at > _SHARED_SECONDS:
            if len(self._kept) >= _MOST_SHARED:
                self._kept.clear()
            written = write_overview(self._around, wish)
            self._kept[wish] = registry.version, now, written
        return written


def write_overview(around: Surroundings, wish: Wish) -> str:
    """The page, whole; everything that clients sent is escaped."""
    registry = around.registry
    contents = gather(registry, wish, lease_factor=around.lease_factor)
    main = _MAIN(
        summary=_summary(contents),
        banner=keeping.banner(registry),
        totals=_totals(registry, contents),
        title=_title(contents),
        filter=filter_form(contents.wish),
        applications=applications(contents, registry),
        latest=latest(registry),
        peers=peers_section(around.peers(), registry.digests),
        preservation=keeping.explanation(registry, contents),
    )
    return document("discovery-server", header(around), main, pause_seconds=PAUSE_SECONDS)


def _title(contents: Contents) -> Markup:
    wish = contents.wish
    title = Markup("Registered")
    if wish.app:
        title = _ONE_APP(app=wish.app, address=wish.address(app="", page=1))
    if wish.filters:
        title += _MATCH(matching=contents.matching, count=contents.instance_count)
    return title


def _totals(registry: Registry, contents: Contents) -> Markup:
    statuses = contents.statuses
    out, up = statuses[Status.OUT_OF_SERVICE], statuses[Status.UP]
    down = contents.instance_count - up - out
    kinds: Sequence[tuple[str, int, str, str]] = (
        ("Applications", contents.application_count, "", ""),
        ("Instances", contents.instance_count, "", ""),
        ("Up", up, "good", Status.UP),
        ("Out of service", out, "note", Status.OUT_OF_SERVICE),
        ("Not ready", down, "bad", NOT_READY),
        ("Late", len(contents.late), "note", LATE),
        ("Kept", len(registry.kept), "bad", KEPT),
    )
    return Markup().join(_total(*kind) for kind in kinds)


def _total(label: str, count: int, css: str, state: str) -> Markup:
    """A number; where it is one of instances in a state, the way to them."""
    value: Markup | str = f"{count:,}"
    if count and state:
        value = _SHOW(address=Wish(state=state).address(), label=label, value=value)
    return _TOTAL(label=label, value=value, css=css if count else "zero")


def _summary(contents: Contents) -> str:
    """What a screen reader says when it changes."""
    counted = ", ".join(
        f"{number} {status.lower().replace('_', ' ')}" for status in Status if (number := contents.statuses[status])
    )
    count, apps = contents.instance_count, contents.application_count
    return f"{count} instances of {apps} applications are registered" + (f": {counted}." if counted else ".")

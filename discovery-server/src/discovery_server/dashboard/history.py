"""Who came and who left, and why, as HTML: the last few, or all that is remembered."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from markupsafe import Markup

from discovery_server.registry.leases import Arrival, Departure
from discovery_server.registry.registry import Registry

from .instances import chip
from .spans import moment, span
from .templates import Html

LATEST = 6

Event = TypeVar("Event", Arrival, Departure)

_SECTION = Html("""<section class="card" data-key="{id}" aria-labelledby="{id}">
<h2 id="{id}">{title}</h2>
{table}{more}
</section>
""")
_TABLE = Html("""<div class="scroll"><table class="history">
<caption>{caption}</caption>
<thead><tr><th scope="col">When</th><th scope="col">Instance</th><th scope="col">{reason}</th>
<th scope="col">By</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
""")
_ROW = Html("""<tr data-key="{at} {app} {key}"><td class="when"><time datetime="{iso}">{day}{time}</time>
<span class="sub"><span data-age="{age}">{said}</span> ago</span></td>
<th scope="row"><span class="key">{key}</span><span class="sub">{app}</span></th>
<td class="why">{why}</td><td class="by" data-label="by">{by}</td></tr>
""")
_MORE = Html('<p class="more"><a href="/lastn#{id}">All that is remembered</a></p>')
_PAIR = Html('<div class="pair" data-key="latest">{left}{came}</div>')
_NONE = Html('<p class="empty">{text}</p>')
_NOBODY = Markup('<span class="none" aria-label="the server">–</span>')


def latest(registry: Registry) -> Markup:
    """The last who left and the last who came, side by side where there is room."""
    left, came = registry.departures, registry.arrivals
    return _PAIR(
        left=_left(_newest(left, LATEST), registry, _MORE(id="left") if len(left) > LATEST else ""),
        came=_came(_newest(came, LATEST), registry, _MORE(id="came") if len(came) > LATEST else ""),
    )


def everything(registry: Registry) -> Markup:
    """All that is remembered."""
    left = _left(_newest(registry.departures), registry, "")
    return left + _came(_newest(registry.arrivals), registry, "")


def _left(departures: Sequence[Departure], registry: Registry, more: Markup | str) -> Markup:
    rows = ((each, each.why) for each in departures)
    table = _table(rows, "Why", "Who left, the last first; times are UTC", registry) if departures else ""
    return _SECTION(
        id="left",
        title="Left lately",
        table=table or _NONE(text="Nobody has left since this server started."),
        more=more,
    )


def _came(arrivals: Sequence[Arrival], registry: Registry, more: Markup | str) -> Markup:
    rows = ((each, chip(each.instance.status)) for each in arrivals)
    table = _table(rows, "As", "Who came, the last first; times are UTC", registry) if arrivals else ""
    return _SECTION(
        id="came",
        title="Arrived lately",
        table=table or _NONE(text="Nobody has arrived since this server started."),
        more=more,
    )


def _table(
    rows: Iterable[tuple[Arrival | Departure, Markup | str]], reason: str, caption: str, registry: Registry
) -> Markup:
    now_ms = registry.clock.wall_ms()
    written = []
    for each, why in rows:
        at = moment(each.at_ms)
        age = max(0, (now_ms - each.at_ms) // 1000)
        written.append(
            _ROW(
                at=each.at_ms,
                iso=at.isoformat(timespec="milliseconds"),
                day=f"{at:%d %b} " if age > 43_200 else "",
                time=f"{at:%H:%M:%S}",
                age=age,
                said=span(age),
                app=each.instance.app,
                key=each.instance.key,
                why=why,
                by=each.by or _NOBODY,
            )
        )
    return _TABLE(caption=caption, reason=reason, rows=Markup().join(written))


def _newest(events: Sequence[Event], count: int | None = None) -> list[Event]:
    return list(islice(reversed(events), count))

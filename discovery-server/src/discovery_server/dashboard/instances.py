"""Who is registered, as HTML: a section for each application, a row for each instance."""

from collections import Counter
from hashlib import blake2s
from urllib.parse import urlencode

from markupsafe import Markup

from discovery_server.registry.instance import Instance, Status
from discovery_server.registry.leases import LeaseView
from discovery_server.registry.registry import Registry

from .contents import KEPT, LATE, NOT_READY, Application, Contents, Wish, version, zone
from .spans import span
from .templates import Html

_NOTHING = Markup('<span class="none" aria-label="none">–</span>')

# A sign beside the word, so that colour is never all that tells them apart.
_SIGNS = {
    Status.UP: ("●", "up"),
    Status.DOWN: ("▼", "down"),
    Status.STARTING: ("◐", "starting"),
    Status.OUT_OF_SERVICE: ("■", "out of service"),
    Status.UNKNOWN: ("◇", "unknown"),
}

_FILTER = Html("""<form class="filter" method="get" action="/" role="search" data-filter>
{app}
<label><span>Filter</span>
<input type="search" name="q" value="{words}" placeholder="name, id, host, version, zone, owner" autocomplete="off"
 spellcheck="false" maxlength="200"></label>
<label><span>Status</span><select name="status"><option value="">any</option>{options}</select></label>
<button type="submit">Show</button>
</form>
""")
_APP = Html('<input type="hidden" name="app" value="{app}">')
_OPTION = Html('<option value="{value}"{selected}>{words}</option>')

_APPLICATION = Html("""<details class="app" data-key="app {name}"{open}>
<summary><h3>{name}</h3><span class="counts">{counts}</span></summary>
{table}{more}
</details>
""")
# The heads of all the tables, for the eye: they have the same columns.
_COLUMNS = Markup("""<div class="columns" aria-hidden="true" data-key="columns"><span>Instance</span><span>Status</span>
<span>Lease</span><span>Version</span><span>Zone</span><span>Owner</span><span>Links</span><span></span></div>
""")
_TABLE = Html("""<div class="scroll"><table class="instances">
<caption>Instances of {name}</caption>
<colgroup><col class="key"><col class="status"><col class="lease"><col class="version">
<col class="zone"><col class="owner"><col class="links"><col class="change"></colgroup>
<thead><tr><th scope="col">Instance</th><th scope="col">Status</th><th scope="col">Lease</th>
<th scope="col">Version</th><th scope="col">Zone</th><th scope="col">Owner</th><th scope="col">Links</th>
<th scope="col"><span class="unseen">Change</span></th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
""")
_ROW = Html("""<tr id="{id}" data-key="{id}"{kept}>
<th scope="row"><span class="key">{key}</span><span class="sub">{address}</span></th>
<td class="status">{status}{overridden}</td>
<td class="renewal">{lease}</td>
<td data-label="Version">{version}</td><td data-label="Zone">{zone}</td><td data-label="Owner">{owner}</td>
<td class="links">{links}</td>
<td class="change">{change}</td></tr>
""")
_LEASE = Html(
    '<svg class="lease {state}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" data-age="{age}" '
    'data-of="{of}"><rect class="track" width="100" height="4" rx="2"/>'
    '<rect class="fill" width="{left}" height="4" rx="2"/></svg>'
    '<span class="sub">renewed <span class="age" data-age="{age}">{said}</span> ago of {of} s{note}</span>'
)
_CHIP = Html('<span class="chip {css}"><span aria-hidden="true">{sign}</span> {words}</span>')
_OVERRIDDEN = Html('<span class="sub">overridden <span data-age="{age}">{said}</span> ago</span>')
_LINK = Html('<a href="{url}" rel="noreferrer" aria-label="{text} of {key}">{text}</a>')
_CHANGE = Html('<a class="button{css}" href="/override?{query}" data-dialog aria-label="{said}: {key}">{said}</a>')
_MORE = Html('<p class="more"><a href="{address}">{said}</a></p>')
_PAGES = Html(
    '<nav class="pages" aria-label="Pages" data-key="pages">{previous} <span>Page {page} of {pages}</span> '
    "{following}</nav>"
)
_PREVIOUS = Html('<a href="{address}" rel="prev">Previous</a>')
_NEXT = Html('<a href="{address}" rel="next">Next</a>')


def filter_form(wish: Wish) -> Markup:
    """What is looked for; works without a script."""
    states = {status.value: words for status, (_, words) in _SIGNS.items()}
    states |= {NOT_READY: "not ready", LATE: "late", KEPT: "kept"}
    options = [
        _OPTION(value=state, selected=Markup(" selected") if state == wish.state else "", words=words)
        for state, words in states.items()
    ]
    return _FILTER(words=wish.words, options=Markup().join(options), app=_APP(app=wish.app) if wish.app else "")


def applications(contents: Contents, registry: Registry) -> Markup:
    """All the applications of a page, and the way to the other pages."""
    if not contents.applications:
        return _nobody(contents)
    sections = _COLUMNS + Markup().join(_application(each, contents, registry) for each in contents.applications)
    return sections + _pages(contents)


def chip(status: Status) -> Markup:
    """A status in a word, a sign and a colour."""
    sign, words = _SIGNS[status]
    return _CHIP(css=status.lower(), sign=sign, words=words)


def counts(statuses: Counter[Status]) -> Markup:
    """How many have each status."""
    return Markup(" ").join(
        _CHIP(css=status.lower(), sign=sign, words=f"{statuses[status]} {words}")
        for status, (sign, words) in _SIGNS.items()
        if statuses[status]
    )


def anchor(instance: Instance) -> str:
    """An id for an instance's row, whatever characters its own id has."""
    return "i" + blake2s(f"{instance.app}\0{instance.key}".encode(), digest_size=8).hexdigest()


def _nobody(contents: Contents) -> Markup:
    if contents.wish.filters or contents.wish.app:
        return Markup('<p class="empty">Nothing registered matches. <a href="/">Show everything</a></p>')
    return Markup(
        '<p class="empty">Nobody is registered yet. Point a Eureka client at <code>/eureka/</code> of this server; it '
        "appears here as soon as it registers.</p>"
    )


def _application(application: Application, contents: Contents, registry: Registry) -> Markup:
    wish = contents.wish
    rows = Markup().join(_row(view, contents, registry) for view in application.shown)
    hidden = application.size - len(application.shown)
    more: Markup | str = ""
    if not wish.app and hidden:
        said = f"Show all {application.size} of them" if application.shown else f"Show its {application.size}"
        more = _MORE(address=wish.address(app=application.name, page=1), said=said)
    return _APPLICATION(
        name=application.name,
        open=Markup(" open") if application.open else "",
        counts=counts(application.statuses) + _kept_of(application, registry),
        table=_TABLE(name=application.name, rows=rows) if application.shown else "",
        more=more,
    )


def _kept_of(application: Application, registry: Registry) -> Markup:
    count = (
        sum((application.name, view.instance.key) in registry.kept for view in application.views)
        if registry.kept
        else 0
    )
    return _CHIP(css="down", sign="▲", words=f"{count} kept") if count else Markup()


def _row(view: LeaseView, contents: Contents, registry: Registry) -> Markup:
    instance = view.instance
    is_kept = (instance.app, instance.key) in registry.kept
    return _ROW(
        id=anchor(instance),
        kept=Markup(' class="kept"') if is_kept else "",
        key=instance.key,
        address=_address(instance),
        status=chip(instance.status),
        overridden=_overridden(view, registry.clock.wall_ms()),
        lease=_lease(view, contents, is_kept=is_kept),
        version=version(instance) or _NOTHING,
        zone=zone(instance) or _NOTHING,
        owner=view.owner or _NOTHING,
        links=_links(instance) or _NOTHING,
        change=_change(view, contents.wish),
    )


def _address(instance: Instance) -> str:
    port = instance.secure_port if instance.secure_port.enabled and not instance.port.enabled else instance.port
    return f"{instance.host_name}:{port.number}"


def _overridden(view: LeaseView, now_ms: int) -> Markup | str:
    if view.override is None:
        return ""
    age = max(0, (now_ms - view.override.stamp.ms) // 1000)
    return _OVERRIDDEN(age=age, said=span(age))


def _lease(view: LeaseView, contents: Contents, *, is_kept: bool) -> Markup:
    duration = view.instance.lease.duration_seconds * contents.lease_factor
    age = view.silent_seconds
    ran_out = is_kept or age > duration
    late = (view.instance.app, view.instance.key) in contents.late
    return _LEASE(
        state="over" if ran_out else "late" if late else "held",
        age=f"{age:.1f}",
        said=span(age),
        of=f"{duration:g}",
        left=f"{max(0.0, 100 - 100 * age / duration) if duration else 0:.0f}",
        note=", ran out and kept" if is_kept else ", ran out" if ran_out else ", late" if late else "",
    )


def _links(instance: Instance) -> Markup:
    urls = {
        "home": instance.home_page_url,
        "info": instance.status_page_url,
        "health": instance.health_check_url or instance.secure_health_check_url,
    }
    return Markup(" ").join(
        _LINK(url=url, text=text, key=instance.key) for text, url in urls.items() if url and _leads_to_a_page(url)
    )


def _leads_to_a_page(url: str) -> bool:
    # Of the others a javascript: URL would run here, were it not for the page's policy.
    return url.lower().startswith(("http://", "https://"))


def _change(view: LeaseView, wish: Wish) -> Markup | str:
    instance = view.instance
    names = {"app": instance.app, "id": instance.key}
    back = {"back": address} if (address := wish.address()) != "/" else {}
    if view.override is not None:
        query = urlencode({**names, "to": "back", **back})
        return _CHANGE(css="", query=query, said="Put back", key=instance.key)
    if instance.status is Status.OUT_OF_SERVICE:
        return ""  # by its own word: nothing here to take or to give back
    query = urlencode({**names, "to": "out", **back})
    return _CHANGE(css=" quiet", query=query, said="Take out", key=instance.key)


def _pages(contents: Contents) -> Markup | str:
    wish = contents.wish
    if contents.pages == 1:
        return ""
    return _PAGES(
        previous=_PREVIOUS(address=wish.address(page=wish.page - 1)) if wish.page > 1 else "",
        page=wish.page,
        pages=contents.pages,
        following=_NEXT(address=wish.address(page=wish.page + 1)) if wish.page < contents.pages else "",
    )

"""The other servers, as HTML: whether they are there, and whether they know the same."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from discovery_server.peers.peers import PeerView

from .spans import span
from .templates import Html

_SECTION = Html("""<section class="card" data-key="peers" aria-labelledby="peers">
<h2 id="peers">Peers</h2>
{contents}
</section>
""")
_ALONE = Markup("""<p class="empty">This server is on its own: <code>DISCOVERY_SERVER_PEERS</code> names no
other one.</p>
""")
_TABLE = Html("""<p>What is known here has the digest <span class="mono">{digest}</span>; servers that agree have the
same.</p>
<div class="scroll"><table class="history">
<caption>The other servers</caption>
<thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Digest</th>
<th scope="col">Last answer</th><th scope="col">Not yet told</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
""")
_ROW = Html("""<tr data-key="{url}"><th scope="row"><span class="key">{url}</span><span class="sub">{kind}</span></th>
<td>{state}</td><td>{digest}</td>
<td data-label="Last answer">{answered}</td><td data-label="Not yet told">{pending}</td></tr>
""")
_STATE = Html(
    '<span class="chip {css}"><span aria-hidden="true">{sign}</span> {words}</span>{more}',
)
_MORE = Html('<span class="sub">{words}</span>')
_AGO = Html('<span><span data-age="{age}">{said}</span> ago</span>')

_NEVER = Markup('<span class="none">never</span>')


def peers_section(views: Sequence[PeerView], digests: Callable[[], Mapping[str, str]]) -> Markup:
    """A row for each; `digests` is asked only where there are any, since it takes its time."""
    if not views:
        return _SECTION(contents=_ALONE)
    rows = Markup().join(_row(view) for view in views)
    return _SECTION(contents=_TABLE(digest=_digest_of(digests()), rows=rows))


def _row(view: PeerView) -> Markup:
    kind = {"eureka": "a Eureka server", "discovery-server": "a discovery-server"}.get(view.kind, "not met yet")
    pending: Markup | str = "nothing"
    if view.pending:
        pending = f"{view.pending}, the oldest {span(view.lag_seconds)} old" if view.lag_seconds else f"{view.pending}"
    return _ROW(
        url=view.url,
        kind=f"{kind}, {view.server_id[:8]}" if view.server_id else kind,
        state=_reachable(view),
        digest=_agreement(view),
        answered=_AGO(age=f"{view.last_contact_seconds:.1f}", said=span(view.last_contact_seconds))
        if view.last_contact_seconds is not None
        else _NEVER,
        pending=pending,
    )


def _reachable(view: PeerView) -> Markup:
    if not view.reachable:
        return _STATE(css="down", sign="▼", words="away", more=_MORE(words=view.problem or "no answer"))
    trip = view.round_trip_seconds
    more = _MORE(words=f"answers in {1000 * trip:.0f} ms") if trip is not None else ""
    return _STATE(css="up", sign="●", words="there", more=more)


def _agreement(view: PeerView) -> Markup:
    if view.digests_agree is None:
        return _STATE(css="unknown", sign="◇", words="not compared", more="")
    if view.digests_agree:
        return _STATE(css="up", sign="●", words="agrees", more="")
    return _STATE(css="starting", sign="◐", words="differs", more=_MORE(words="being mended"))


def _digest_of(digests: Mapping[str, str]) -> str:
    everything = "\n".join(f"{app} {digest}" for app, digest in sorted(digests.items()))
    return hashlib.sha256(everything.encode()).hexdigest()[:12]

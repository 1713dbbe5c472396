"""The question before an instance is taken out of service or put back, and what the answer does."""

from dataclasses import dataclass
from urllib.parse import parse_qs

from markupsafe import Markup

from discovery_server.access.audit import Asker, Audit
from discovery_server.registry.instance import Instance, Status
from discovery_server.registry.registry import Registry

from .contents import Wish
from .document import document
from .instances import anchor, chip
from .templates import Html

_QUESTION = Html("""<form class="question card" method="post" action="/override">
<h1 id="question">{title}</h1>
<p class="sub"><span class="key">{key}</span> of {app}, now {chip}</p>
{effects}
<input type="hidden" name="app" value="{app}"><input type="hidden" name="id" value="{key}">
<input type="hidden" name="to" value="{to}"><input type="hidden" name="back" value="{back}">
<p class="answers"><button type="submit" class="{css}">{answer}</button>
<a class="button quiet" href="{back}" data-close>Cancel</a></p>
</form>
""")
_OUT = Markup("""<ul>
<li>Readers are told that it is out of service: gateways and clients stop sending it requests.</li>
<li>It is not stopped: it goes on running and renewing, and finishes what it has begun.</li>
<li>It stays out, even when it registers anew, until somebody puts it back or it leaves.</li>
</ul>""")
_BACK = Html("""<ul>
<li>The override is removed; the instance has again the status that it tells of itself: {own}.</li>
<li>If that is up, gateways and clients send it requests at once.</li>
</ul>""")


@dataclass(frozen=True, slots=True)
class Change:
    """Which instance to take out of service or to put back, and the page to return to."""

    app: str
    key: str
    out: bool
    wish: Wish

    def address_after(self, instance: Instance) -> str:
        """The page that was left, at the instance's row."""
        return f"{self.wish.address()}#{anchor(instance)}"


def question(registry: Registry, change: Change, header: Markup) -> str:
    """A page that says what will happen, and asks. Raises NoSuchInstance."""
    instance = registry.instance(change.app, change.key)
    form = _QUESTION(
        title="Take this instance out of service?" if change.out else "Put this instance back into service?",
        key=instance.key,
        app=instance.app,
        chip=chip(instance.status),
        effects=_OUT if change.out else _BACK(own=_told(own_status(registry, instance))),
        to="out" if change.out else "back",
        back=change.wish.address(),
        css="danger" if change.out else "primary",
        answer="Take out of service" if change.out else "Put back into service",
    )
    return document("Take out of service" if change.out else "Put back into service", header, form)


def do(registry: Registry, change: Change, audit: Audit, asker: Asker) -> Instance:
    """Take it out or put it back; the instance as it is then. Raises NoSuchInstance."""
    instance = registry.instance(change.app, change.key)
    app, key = instance.app, instance.key
    by, before = asker.principal.name or None, registry.version
    status = Status.OUT_OF_SERVICE if change.out else own_status(registry, instance)
    if change.out:
        registry.override_status(app, key, status, by=by)
    else:
        registry.remove_override(app, key, status, by=by)
    if registry.version != before:  # somebody else may have been faster
        (audit.overridden if change.out else audit.override_removed)(asker, app, key, status)
    return registry.instance(app, key)


def own_status(registry: Registry, instance: Instance) -> Status:
    """What the instance says of itself; UNKNOWN, which makes it register anew, where an override has covered that."""
    own = registry.own_status(instance.app, instance.key)
    return Status.UNKNOWN if own is Status.OUT_OF_SERVICE else own


def wish_at(address: str) -> Wish:
    """The wish that an address of the page stands for; of anything else there is nothing to fear but its words."""
    _, _, query = address.partition("?")
    pairs = {name: values[0] for name, values in parse_qs(query).items()}
    page = pairs.get("page", "")
    return Wish(
        words=pairs.get("q", ""),
        state=pairs.get("status", ""),
        app=pairs.get("app", ""),
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def _told(own: Status) -> Markup | str:
    return "not known here, so it is asked to register anew" if own is Status.UNKNOWN else chip(own)

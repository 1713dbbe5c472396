"""Self-preservation explained, as HTML: who is kept and why, or what would have to happen."""

from collections.abc import Mapping

from markupsafe import Markup

from discovery_server.registry.preservation import Judgement, PreservationRules, judge
from discovery_server.registry.registry import Registry

from .contents import Contents
from .instances import anchor
from .spans import span
from .templates import Html

_MOST_NAMED = 20  # applications, and instances of each

_BANNER = Html("""<section class="banner" data-key="banner" aria-labelledby="kept">
<h2 id="kept"><span aria-hidden="true">▲</span> {count} kept though {their} ran out</h2>
<p>Their silence looks like a broken network's rather than like their end. They are still told to readers, who should
try another instance when one of these doesn't answer.</p>
<ul>{reasons}</ul>
</section>
""")
_REASON = Html("<li>{why}.{apps}</li>")
_OF_ONE = Html('<span class="sub"><strong>{app}</strong>: {names}</span>')
_MORE_APPS = Html('<span class="sub">and {count} more applications</span>')
_FURTHER = Html("<li>and {count} more</li>")
_UNNAMED = Html("and {count} more")
_NAME = Html('<a href="#{anchor}">{key}</a>')

_SECTION = Html("""<section class="card" data-key="preservation" aria-labelledby="preservation">
<h2 id="preservation">Self-preservation</h2>
<p>{now}</p>
{verdicts}{rules}
</section>
""")
_NETWORK = Html("<p>{why}.</p>")
_VERDICTS = Html('<p>A renewal is overdue:</p><ul class="verdicts">{verdicts}</ul>')
_VERDICT = Html("<li data-key='{app}'><strong>{app}</strong>, {silent} of {size}: {fate}; {why}.</li>")
_RULES = Html("""<p>An instance whose lease runs out is kept, rather than dropped, in two cases:</p>
<ol>
<li><strong>The network of all:</strong> at least {minimum} instances are registered (now {count}), more than {share} of
them are silent at once (now {silent} of {count}), and they belong to more than one application (now {apps}). They are
kept until they renew, or until they are not so many any more.</li>
<li><strong>A part of one application:</strong> it has at least {minimum} instances, and more than {share} of them, but
not all, fell silent together. They are kept until they renew, for {limit} after their lease at most.</li>
</ol>
<p>One application that dies whole is believed. Silent means: no renewal for one and a half of its own intervals, or for
half of its lease.</p>
""")


def banner(registry: Registry) -> Markup:
    """Who is kept, by application, with the reason; nothing where nobody is."""
    if not registry.kept:
        return Markup()
    by_reason: dict[str, dict[str, list[str]]] = {}
    for (app, key), why in sorted(registry.kept.items()):
        by_reason.setdefault(why, {}).setdefault(app, []).append(key)
    reasons = [_REASON(why=why, apps=_apps(registry, by_app)) for why, by_app in by_reason.items()]
    if (untold := len(reasons) - _MOST_NAMED) > 0:
        reasons[_MOST_NAMED:] = [_FURTHER(count=untold)]
    count = len(registry.kept)
    return _BANNER(
        count=f"{count} instance is" if count == 1 else f"{count} instances are",
        their="its lease" if count == 1 else "their leases",
        reasons=Markup().join(reasons),
    )


def explanation(registry: Registry, contents: Contents) -> Markup:
    """The rules with their numbers, and what they say of those who are silent now."""
    rules = registry.preservation
    if not rules.enabled:
        said = "Self-preservation is switched off: what runs out is dropped, however much it is."
        return _SECTION(now=said, verdicts="", rules="")
    verdicts: Markup | str = ""
    if contents.late:
        verdicts = _verdicts(judge(registry.pulses(), rules))
    now = "Nobody is kept: each lease that runs out ends at the next sweep."
    if registry.kept:
        now = f"{len(registry.kept)} of {contents.instance_count} are kept; see above."
    return _SECTION(now=now, verdicts=verdicts, rules=_rules(rules, contents))


def _apps(registry: Registry, by_app: Mapping[str, list[str]]) -> Markup:
    written = [_OF_ONE(app=app, names=_names(registry, app, by_app[app])) for app in list(by_app)[:_MOST_NAMED]]
    if (unnamed := len(by_app) - len(written)) > 0:
        written.append(_MORE_APPS(count=unnamed))
    return Markup().join(written)


def _names(registry: Registry, app: str, keys: list[str]) -> Markup:
    known = {instance.key: instance for instance in registry.application(app)}
    names = [_NAME(anchor=anchor(known[key]), key=key) for key in keys[:_MOST_NAMED] if key in known]
    if (unnamed := len(keys) - _MOST_NAMED) > 0:
        names.append(_UNNAMED(count=unnamed))
    return Markup(", ").join(names)


def _verdicts(judgement: Judgement) -> Markup:
    # What is true of the network of all is told above, once.
    silent = sorted(
        ((app, verdict) for app, verdict in judgement.verdicts.items() if verdict.why != judgement.network),
        key=lambda pair: pair[0],
    )
    written = [
        _VERDICT(
            app=app,
            silent=len(verdict.silent),
            size=verdict.size,
            fate="kept when the lease runs out" if verdict.kept else "not kept",
            why=verdict.why,
        )
        for app, verdict in silent[:_MOST_NAMED]
    ]
    if (unnamed := len(silent) - len(written)) > 0:
        written.append(_FURTHER(count=unnamed))
    network = _NETWORK(why=judgement.network) if judgement.network else Markup()
    return network + (_VERDICTS(verdicts=Markup().join(written)) if written else Markup())


def _rules(rules: PreservationRules, contents: Contents) -> Markup:
    return _RULES(
        minimum=rules.minimum,
        share=f"{rules.share:.0%}",
        limit=span(rules.limit_seconds),
        count=contents.instance_count,
        silent=len(contents.late),
        apps=len({app for app, _ in contents.late}),
    )

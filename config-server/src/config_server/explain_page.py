"""The explanation as a page for people: made here, without scripts and without anything from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from .documents import Scalar
from .explanations import Difference, ExplainedKey, Explanation, Origin, Side

# A browser with more rows than this is no help; the filter is.
_MOST_KEYS = 2_000

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --bad: #b3261e; }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
p { margin: .25rem 0; } small, .place { opacity: .75; font-size: .85rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; align-items: end; }
label { display: grid; flex: 1 1 10rem; font-size: .85rem; }
input, button { font: inherit; padding: .4rem .5rem; border: 1px solid var(--line); border-radius: .4rem; width: 100%; }
button { flex: 1 1 6rem; width: auto; cursor: pointer; }
details, .row { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; }
ul { margin: .25rem 0 .5rem; padding-left: 1.25rem; }
.broken { border: 2px solid var(--bad); border-radius: .4rem; padding: .5rem .75rem; margin: 1rem 0; }
.value { background: var(--soft); border-radius: .25rem; padding: 0 .25rem; white-space: pre-wrap; }
.tag { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem; font-size: .8rem; }
"""

# The page can load nothing, run nothing, and send its form nowhere else.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def explanation_page(explanation: Explanation, *, key: str, against: str, against_profile: str) -> str:
    """The page; the last three are what the form is filled with. Whatever comes from files or callers is escaped."""
    title = f"{explanation.name} in {', '.join(explanation.asked.profiles)}"
    parts = [
        f"<h1>{escape(title)}</h1><p>{_side(explanation.asked)}</p>",
        _form(key, against, against_profile),
        _broken(explanation),
        _differences(explanation),
        _keys(explanation.keys),
        _section(
            "Documents that count, the strongest first",
            (
                f"<div class=row>{_place(document.file, document.document)} "
                f"<small>{document.values} values, {_commit(document.label, document.commit)}</small></div>"
                for document in explanation.documents
            ),
        ),
        _section(
            "Documents that do not",
            (
                f"<div class=row>{_place(document.file, document.document)}<br>{escape(document.reason)} "
                f"<small>{_commit(document.label, document.commit)}</small></div>"
                for document in explanation.skipped
            ),
        ),
        _section("Files that would count, if they were there", (_folded(explanation.looked_for),)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _side(side: Side) -> str:
    label = f"label <code>{escape(side.label)}</code>" if side.label else "the default label"
    commits = ", ".join(f"<code>{escape(commit[:12])}</code>" for commit in side.commits)
    return f"{label}, commit {commits}"


def _form(key: str, against: str, against_profile: str) -> str:
    fields = (
        ("key", "Key, or what it begins with", key),
        ("against", "Compare with label", against),
        ("against-profile", "Compare with profile", against_profile),
    )
    inputs = "".join(
        f'<label>{label}<input name="{name}" value="{escape(value)}" autocapitalize="none" autocomplete="off"></label>'
        for name, label, value in fields
    )
    return f'<form method="get">{inputs}<button>Show</button></form>'


def _broken(explanation: Explanation) -> str:
    if not explanation.broken:
        return ""
    items = "".join(
        f"<li><strong>{_position(fault.file, fault.line, fault.column)}</strong> {escape(fault.reason)} "
        f"<small>{_commit(fault.label, fault.commit)}</small></li>"
        for fault in explanation.broken
    )
    return (
        '<div class="broken" role="alert"><p>This commit can\'t be served. Who was served before gets the last '
        f"good one; what follows leaves out what is at fault.</p><ul>{items}</ul></div>"
    )


def _differences(explanation: Explanation) -> str:
    if explanation.against is None:
        return ""
    against = explanation.against
    heading = f"Differences from {', '.join(against.profiles)}"
    rows = [f"<p>{_side(against)}</p>", *(_difference(difference) for difference in explanation.differences)]
    if not explanation.differences:
        rows.append("<p>None.</p>")
    return _section(heading, rows)


def _difference(difference: Difference) -> str:
    lines = [f"<code>{escape(difference.key)}</code> <span class=tag>{difference.change}</span>"]
    if difference.against_set_by:
        lines.append(f"was {_value(difference.against_value)} {_origin(difference.against_set_by)}")
    if difference.set_by:
        lines.append(f"is {_value(difference.value)} {_origin(difference.set_by)}")
    return f"<div class=row>{'<br>'.join(lines)}</div>"


def _keys(keys: Sequence[ExplainedKey]) -> str:
    rows = [_key(explained) for explained in keys[:_MOST_KEYS]]
    if len(keys) > _MOST_KEYS:
        rows.append(f"<p>{len(keys) - _MOST_KEYS} more keys: say which you want to see.</p>")
    return _section("Keys", rows or ["<p>None.</p>"])


def _key(explained: ExplainedKey) -> str:
    name = f"<code>{escape(explained.key)}</code>"
    if explained.set_by:
        head = f"{name} {_value(explained.value)} {_origin(explained.set_by)}"
    else:
        head = f"{name} <span class=tag>replaced</span>"
    if not explained.lost:
        return f"<div class=row>{head}</div>"
    lost = "".join(
        f"<li>{_value(lost.value)} {_origin(lost.set_by)}<br><span class=tag>{lost.rule}</span> {escape(lost.why)}</li>"
        for lost in explained.lost
    )
    return f"<details><summary>{head} <small>over {len(explained.lost)}</small></summary><ul>{lost}</ul></details>"


def _section(heading: str, rows: Iterable[str]) -> str:
    body = "".join(rows)
    return f"<section><h2>{escape(heading)}</h2>{body or '<p>None.</p>'}</section>"


def _folded(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    items = "".join(f"<li><code>{escape(path)}</code></li>" for path in paths)
    return f"<details><summary>{len(paths)} names</summary><ul>{items}</ul></details>"


def _value(value: Scalar | None) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'<code class="value">{escape(text)}</code>'


def _origin(origin: Origin) -> str:
    document = "" if origin.document is None else f" document {origin.document}"
    imported = f", imported by {escape(origin.imported_by)}" if origin.imported_by else ""
    return f"<span class=place>{_position(origin.file, origin.line, origin.column)}{document}{imported}</span>"


def _position(file: str | None, line: int | None, column: int | None) -> str:
    numbers = "".join(f":{number}" for number in (line, column) if number)
    return f"<code>{escape(file or 'overrides')}{numbers}</code>"


def _place(file: str | None, document: int | None) -> str:
    return f"<code>{escape(file or 'overrides')}</code>{'' if document is None else f' document {document}'}"


def _commit(label: str, commit: str) -> str:
    return f"at {escape(label)} <code>{escape(commit[:12])}</code>"

"""The page at /: who is registered, for people."""

from html import escape

from .instance import Instance
from .registry import Registry

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24}
h2{font-size:1.05rem;margin:1.4rem 0 .3rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid #d8dee4;vertical-align:top}
.UP{color:#116329}.DOWN,.OUT_OF_SERVICE{color:#a40e26}.STARTING,.UNKNOWN{color:#7d4e00}
.warning{background:#fff8c5;padding:.6rem .8rem}
"""


def write_page(registry: Registry) -> str:
    """The page, whole; everything that clients sent is escaped."""
    applications = registry.applications()
    count = sum(len(instances) for instances in applications.values())
    sections = "".join(
        f"<h2>{escape(app)}</h2><table><tr><th>Instance<th>Status<th>Last renewal<th>Links</tr>"
        + "".join(_row(registry, instance) for instance in instances)
        + "</table>"
        for app, instances in sorted(applications.items())
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>discovery-server</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>discovery-server</h1><p>{count} instances of {len(applications)} applications are registered.</p>"
        f"{_preservation(registry)}{sections}"
        '<p><a href="/eureka/apps">/eureka/apps</a> · <a href="/actuator/health">health</a> · '
        '<a href="/actuator/prometheus">metrics</a></p></body></html>'
    )


def _preservation(registry: Registry) -> str:
    if not registry.preserved:
        return ""
    return (
        f'<p class="warning">{len(registry.preserved)} of these have let their lease run out and are kept: more '
        f"than {registry.preservation.share:.0%} of all instances went silent at once, as when a network breaks.</p>"
    )


def _row(registry: Registry, instance: Instance) -> str:
    status = instance.status
    overridden = " (overridden)" if instance.overridden_status == status else ""
    silent = registry.silent_seconds(instance.app, instance.key)
    links = " ".join(
        _link(url, text)
        for url, text in (
            (instance.home_page_url, "home"),
            (instance.status_page_url, "info"),
            (instance.health_check_url, "health"),
        )
    )
    return (
        f'<tr><td>{escape(instance.key)}<td class="{status}">{status}{overridden}'
        f"<td>{silent:.0f} s ago, lease {instance.lease.duration_seconds} s<td>{links}</tr>"
    )


def _link(url: str | None, text: str) -> str:
    # Only what leads to a page: a javascript: URL would run here.
    if url is None or not url.lower().startswith(("http://", "https://")):
        return ""
    return f'<a rel="noreferrer" href="{escape(url)}">{text}</a>'

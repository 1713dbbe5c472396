"""The frame of every page: head, style, script, and a policy under which nothing else can run or load."""

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup

from .templates import Html

_STYLE = files(__package__).joinpath("dashboard.css").read_text("utf-8")
_SCRIPT = files(__package__).joinpath("dashboard.js").read_text("utf-8")
_BUILD = hashlib.sha256((_STYLE + _SCRIPT).encode()).hexdigest()[:12]

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%230e7c66'/%3E%3Ccircle cx='8' cy='8' r='3' fill='white'/%3E%3C/svg%3E"
)


def _source(text: str) -> str:
    """A Content-Security-Policy source (CSP3 §2.3.1) that allows this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            f"style-src {_source(_STYLE)}",
            f"script-src {_source(_SCRIPT)}",
            "connect-src 'self'",
            "img-src data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: a form would then be sent with the origin `null`, and be refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding, Authorization",
}

_FRAME = Html("""<!doctype html>
<html lang="en" data-build="{build}"{live}>
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="{icon}">
{reload}
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the contents</a>
{header}
<main id="main" tabindex="-1">
{main}
</main>
<dialog id="dialog" aria-labelledby="question"></dialog>
<script>{script}</script>
</body>
</html>
""")
_LIVE = Html(' data-pause-ms="{milliseconds}"')
_RELOAD = Html('<noscript><meta http-equiv="refresh" content="{seconds}"></noscript>')


def document(title: str, header: Markup, main: Markup, *, pause_seconds: float | None = None) -> str:
    """A whole page. With `pause_seconds` it keeps itself up to date; without a script by loading itself anew."""
    return _FRAME(
        build=_BUILD,
        live=_LIVE(milliseconds=round(pause_seconds * 1000)) if pause_seconds else "",
        title=title,
        icon=_ICON,
        reload=_RELOAD(seconds=max(10, round(pause_seconds))) if pause_seconds else "",
        style=Markup(_STYLE),  # noqa: S704 - our own file
        header=header,
        main=main,
        script=Markup(_SCRIPT),  # noqa: S704 - our own file
    )

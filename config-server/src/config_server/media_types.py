"""The two media types of an environment, and which of them a client wants."""

from collections.abc import Sequence

V1 = "application/json"
V2 = "application/vnd.spring-cloud.config-server.v2+json"


def accepted_media_types(accept: str | None) -> list[str]:
    """The media ranges a client takes, in lower case and without parameters, the best first (RFC 9110 §12.5.1)."""
    ranges: list[tuple[float, int, str]] = []
    for part in (accept or "*/*").split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if not media_range:
            continue
        wildcards = media_range.count("*")
        ranges.append((-_quality(parameters), wildcards, media_range))
    return [media_range for quality, _wildcards, media_range in sorted(ranges, key=lambda entry: entry[:2]) if quality]


def wanted_media_type(accept: str | None) -> str | None:
    """V1, V2, or None where the client takes neither."""
    for media_range in accepted_media_types(accept):
        if media_range in (V1, "*/*", "application/*"):
            return V1
        if media_range in (V2, "application/*+json"):
            return V2
    return None


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def prefers_html(accept: str | None) -> bool:
    """Whether the client is a browser: it names text/html, and no JSON that it likes as well or better."""
    html, json = 0.0, 0.0
    for part in (accept or "").split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media_range in ("text/html", "application/xhtml+xml"):
            html = max(html, _quality(parameters))
        elif media_range in (V1, V2):
            json = max(json, _quality(parameters))
    return html > json

"""Which media type a reader gets: XML unless it asks for JSON, and a refusal if it can take neither."""

from .answers import Form
from .errors import NotAcceptable

_SPOKEN = ("application/xml", "application/json")


def form_of(accept: str | None, eureka_accept: str | None) -> Form:
    """The form of an answer. Raises NotAcceptable.

    As in Eureka the body is JSON whenever the Accept header has `json` in it, if only as second best; unlike in Eureka
    it is then labelled as JSON.
    """
    if accept and not any(_takes(part) for part in accept.split(",")):
        raise NotAcceptable(f"Nothing here is {accept[:100]}; ask for application/xml or application/json.")
    return Form(
        "json" if "json" in (accept or "").lower() else "xml", compact=(eureka_accept or "").lower() == "compact"
    )


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding header names gzip (RFC 9110 §12.5.3)."""
    for part in (accept_encoding or "").lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding == "gzip":
            return not any(_is_zero_weight(parameter) for parameter in parameters)
    return False


def _takes(part: str) -> bool:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    if any(_is_zero_weight(parameter) for parameter in parameters):
        return False
    return media_range in ("*/*", "application/*", "*") or media_range in _SPOKEN


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0").rstrip(".") in ("", "0")

"""Which media type a reader gets: XML unless it asks for JSON, and a refusal if it can take neither."""

from contextlib import suppress
from functools import lru_cache

from discovery_server.errors import NotAcceptable
from discovery_server.wire.form import Form

_SPOKEN = ("application/xml", "application/json")


# Few clients send other headers than all the others do.
@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def form_of_instance(accept: str | None) -> Form:
    """The form of a single instance, over which Eureka does negotiate: what has the greatest weight, of several the
    exact one before a range, and the first. Raises NotAcceptable.
    """
    if form_of(accept, None).media == "xml":
        return Form("xml")
    taken = [part for part in (accept or "").split(",") if _takes(part)]
    best = max(taken, key=lambda part: (_weight_of(part), _range_of(part) in _SPOKEN))
    return Form("json" if _range_of(best) == "application/json" else "xml")


@lru_cache(maxsize=256)
def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding header names gzip (RFC 9110 §12.5.3)."""
    for part in (accept_encoding or "").lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding in ("gzip", "x-gzip"):  # the same (RFC 9110 §8.4.1.3)
            return not any(_is_zero_weight(parameter) for parameter in parameters)
    return False


def _takes(part: str) -> bool:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    if any(_is_zero_weight(parameter) for parameter in parameters):
        return False
    return media_range in ("*/*", "application/*", "*") or media_range in _SPOKEN


def _range_of(part: str) -> str:
    return part.partition(";")[0].strip().lower()


def _weight_of(part: str) -> float:
    """1 where there is none that can be read."""
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            with suppress(ValueError):
                return float(value)
    return 1.0


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0").rstrip(".") in ("", "0")

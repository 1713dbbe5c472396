"""Whether a form was sent from our own page: browsers send a password along with any page's form."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from chassis.problems import NotAllowed


def require_same_origin(headers: Mapping[str, str]) -> None:
    """Raises NotAllowed for what another site's page sent, and for what doesn't say which page did.

    A browser says it in Sec-Fetch-Site (Fetch Metadata, W3C) where the connection is trusted, and in Origin
    (RFC 6454 §7.3) with every POST; no page can set or leave out either.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none"):  # none: the reader's own doing, no page's
            return
        raise NotAllowed("This form was sent from a page of another site, and nothing was changed.")
    origin = headers.get("origin")
    if origin is None:
        raise NotAllowed(
            "This form is for browsers, which say where it was sent from. To override a status from a script use "
            "PUT /eureka/apps/{APP}/{id}/status?value=OUT_OF_SERVICE, and DELETE to remove the override."
        )
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise NotAllowed("This form was sent from a page of another origin, and nothing was changed.")

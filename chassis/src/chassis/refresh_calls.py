"""How the config-server proves who it is when it asks a service to refresh: by an HMAC, so that no password travels."""

import hashlib
import hmac
import re
import time

HEADER = "X-Config-Signature"

_WINDOW_SECONDS = 300
_FORM = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign_refresh(secret: str, service: str) -> str:
    """The header of a call to `POST /actuator/refresh` of this service, good for five minutes from now."""
    now = int(time.time())
    return f"t={now},v1={_digest(secret, service, now)}"


def is_signed_refresh(header: str, secret: str, service: str) -> bool:
    """Whether the header was made with this secret, for this service, within the last five minutes.

    Seen twice it is good twice: a refresh more does nothing that the first did not do.
    """
    match = _FORM.fullmatch(header)
    if match is None or not secret:
        return False
    signed_at = int(match[1])
    fresh = abs(time.time() - signed_at) <= _WINDOW_SECONDS
    return hmac.compare_digest(match[2], _digest(secret, service, signed_at)) and fresh


def _digest(secret: str, service: str, signed_at: int) -> str:
    said = f"{signed_at}.POST /actuator/refresh.{service.lower()}"
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()

"""Signatures of webhooks: HMAC-SHA256 over `timestamp.body`, as `Flotilla-Signature: t=<unix seconds>,v1=<hex>`."""

import hashlib
import hmac

HEADER = "Flotilla-Signature"
TOLERANCE_SECONDS = 300


def sign(secret: str, body: bytes, timestamp: int) -> str:
    """The value of the header."""
    return f"t={timestamp},v1={_digest(secret, body, str(timestamp))}"


def complaint_about(secret: str, body: bytes, header: str, now: float) -> str | None:
    """A sentence on what is wrong with a signature; None for a good one. Without a secret none is good."""
    if not secret:
        return "No secret is set here, so that no signature can be checked."
    parts = [part.partition("=") for part in header.split(",")]
    timestamp = next((value for name, _, value in parts if name.strip() == "t"), "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return f"The header {HEADER} has to be t=<unix seconds>,v1=<hex digits>."
    given = [value.strip().encode() for name, _, value in parts if name.strip() == "v1"]
    wanted = _digest(secret, body, timestamp).encode()
    # Several v1 may be given, while one secret is being replaced by another.
    if not any(hmac.compare_digest(value, wanted) for value in given):
        return "The signature was not made with our secret over this timestamp and body."
    # Checked last, so that only the holder of the secret learns anything about our clock.
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"It was signed more than {TOLERANCE_SECONDS} seconds from now; sign again, with the time it is."
    return None


def _digest(secret: str, body: bytes, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

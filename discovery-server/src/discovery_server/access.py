"""Who asks, and what that one may do: a service's own credential opens its own name, any credential opens reading."""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from pydantic import SecretStr

from .errors import CredentialNeeded, NotYourName


class Access:
    """Knows the credentials. HTTP basic (RFC 7617): the user is the service's name."""

    def __init__(self, credentials: Mapping[str, SecretStr], *, anonymous: bool) -> None:
        self._anonymous = anonymous
        # By digest: finding one takes the same time however much of a guessed password is right.
        self._names = {
            _digest(f"{name}:{password.get_secret_value()}".encode()): name.upper()
            for name, password in credentials.items()
        }

    def require_any(self, authorization: str | None) -> None:
        """Reading: whoever is registered may. Raises CredentialNeeded."""
        if not self._anonymous:
            self._name_of(authorization)

    def require_name(self, app: str, authorization: str | None) -> None:
        """Changing what is registered under a name: only who owns it may. Raises CredentialNeeded, NotYourName."""
        if self._anonymous:
            return
        name = self._name_of(authorization)
        if name != app.upper():
            raise NotYourName(f"The credential of {name} does not open {app.upper()}.")

    def _name_of(self, authorization: str | None) -> str:
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise CredentialNeeded("Send a service's name and password as HTTP basic authentication.")
        try:
            sent = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise CredentialNeeded("The Authorization header is not readable.") from error
        name = self._names.get(_digest(sent))
        if name is None:
            raise CredentialNeeded("This name and password are not known here.")
        return name


def _digest(credential: bytes) -> bytes:
    return hashlib.sha256(credential).digest()

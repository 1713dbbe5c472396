"""Who may read what: an application reads its own configuration, with its own password."""

import base64
import binascii
import secrets
from collections.abc import Mapping

from chassis.problems import NotAllowed
from pydantic import SecretStr

from .errors import CredentialNeeded
from .precedence import SHARED_NAME
from .queries import Query

_NO_PASSWORD = secrets.token_urlsafe()  # compared for names that are not known, so that they take as long


class Access:
    """Checks HTTP basic credentials (RFC 7617): the user is the application."""

    def __init__(self, passwords: Mapping[str, SecretStr], *, anonymous: bool) -> None:
        self._passwords = passwords
        self._anonymous = anonymous

    def check(self, authorization: str | None, query: Query) -> None:
        """Raises CredentialNeeded for a missing or wrong credential, NotAllowed for another application's."""
        if self._anonymous:
            return
        reader = self._authenticate(authorization)
        for application in query.applications:
            if application not in (reader, SHARED_NAME):
                raise NotAllowed(f"{reader} may read its own configuration, not that of {application}.")
            for profile in query.profiles:
                self._refuse_names_of_others(reader, application, profile)

    def _authenticate(self, authorization: str | None) -> str:
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise CredentialNeeded("Send HTTP basic credentials: the application's name and its password.")
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = colon = password = ""
        known = self._passwords.get(name)
        expected = _NO_PASSWORD if known is None else known.get_secret_value()
        right = secrets.compare_digest(password.encode(), expected.encode())
        if not (right and colon and known is not None):
            raise CredentialNeeded("The name or the password is wrong.")
        return name

    def _refuse_names_of_others(self, reader: str, application: str, profile: str) -> None:
        # `order` in profile `service` is served out of order-service.yml: of all the applications whose name a file's
        # name begins with, it belongs to the one with the longest. And a search path may be `{profile}`.
        file = f"{application}-{profile}-"
        for other in self._passwords:
            theirs = len(other) > len(application) and file.startswith(f"{other}-")
            if other != reader and (theirs or profile == other):
                raise NotAllowed(f"The profile {profile} leads to files of {other}, which {reader} may not read.")

"""Whom an Authorization header proves: an application, an administrator, another discovery-server, or a mere reader."""

import base64
import binascii
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from chassis.hashed_credentials import MalformedCredential, digest_of_sent, digest_of_written

from discovery_server.errors import CredentialNeeded

PEER = "DISCOVERY-SERVER"
"""The application whose instances tell each other what they know."""

# Good headers are remembered. There are few; who has a token could think of many, and long ones.
_MOST_REMEMBERED = 1_000
_LONGEST_REMEMBERED = 1_000
# For names that nobody has: compared as well, so that they take as long.
_NOBODYS = [secrets.token_bytes(sha256().digest_size)]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Names are in upper case, as those of applications are."""

    name: str
    is_admin: bool = False
    is_peer: bool = False
    owner: str | None = None
    """The application that it registers, and whose instances are its own; None: none, or anybody's."""

    def may_register(self, app: str) -> bool:
        return self.is_peer or (self.owner is not None and self.owner == app.upper())


ANYBODY = Principal("", is_admin=True, is_peer=True)
"""Where nobody is asked."""
READER = Principal("read token")


class Credentials:
    """The credentials of everybody; each name may have several, of which any will do.

    Raises MalformedCredential.
    """

    def __init__(
        self,
        applications: Mapping[str, Iterable[str]],
        *,
        admins: Mapping[str, Iterable[str]] | None = None,
        read_tokens: Iterable[str] = (),
    ) -> None:
        self._applications = _by_upper_name(applications)
        self._admins = _by_upper_name(admins or {})
        self._read_tokens = [digest_of_written("a read token", token) for token in read_tokens]
        self._proved: dict[str, Principal] = {}

    def principal(self, authorization: str | None) -> Principal:
        """Whom an Authorization header proves (RFC 7617, RFC 6750). Raises CredentialNeeded."""
        known = self._proved.get(authorization or "")
        return known if known is not None else self._prove(authorization or "")

    def is_application(self, name: str) -> bool:
        """Whether a name, in upper case, is that of somebody who registers."""
        return name in self._applications

    def known_name(self, authorization: str | None) -> str | None:
        """The name that a header claims, right or wrong, if somebody has it. What else stands there may be a secret."""
        scheme, _, sent = (authorization or "").partition(" ")
        name = _name_and_password(sent)[0] if scheme.lower() == "basic" else ""
        return name if name in self._applications or name in self._admins else None

    def _prove(self, authorization: str) -> Principal:
        scheme, _, sent = authorization.partition(" ")
        match scheme.lower():
            case "basic":
                principal = self._by_password(sent)
            case "bearer":
                token = sha256(sent.strip().encode("latin-1", "replace")).digest()
                principal = READER if _is_among(token, self._read_tokens) else None
            case _:
                raise CredentialNeeded("Send a service's name and password as HTTP basic authentication.")
        if principal is None:
            raise CredentialNeeded("The name or the password is wrong.")
        if len(authorization) <= _LONGEST_REMEMBERED:
            if len(self._proved) >= _MOST_REMEMBERED:
                self._proved.clear()
            self._proved[authorization] = principal
        return principal

    def _by_password(self, encoded: str) -> Principal | None:
        name, password = _name_and_password(encoded)
        if password is None:
            return None
        digest = digest_of_sent(password)
        owns = _is_among(digest, self._applications.get(name, _NOBODYS))
        rules = _is_among(digest, self._admins.get(name, _NOBODYS))
        # Eureka's clients know no other way to send a token than as the password in the server's URL.
        reads = _is_among(digest, self._read_tokens)
        if owns or rules:
            is_peer = owns and name == PEER
            return Principal(name, is_admin=rules, is_peer=is_peer, owner=name if owns and not is_peer else None)
        return READER if reads else None


def _name_and_password(encoded: str) -> tuple[str, str | None]:
    """What basic authentication sent, the name in upper case; no password where that is not readable."""
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", None
    return name.upper(), password if colon else None


def _is_among(digest: bytes, several: Iterable[bytes]) -> bool:
    """Compared with each of them to its end: how long it takes says nothing."""
    return any([compare_digest(digest, one) for one in several])  # noqa: C419 - a generator would stop at the first


def _by_upper_name(credentials: Mapping[str, Iterable[str]]) -> dict[str, list[bytes]]:
    digests: dict[str, list[bytes]] = {}
    for name, several in credentials.items():
        if not name or ":" in name:
            raise MalformedCredential(f"{name!r} can't be a name: RFC 7617 ends one at its first colon")
        digests.setdefault(name.upper(), []).extend(digest_of_written(name, written) for written in several)
    if without := [name for name, several in digests.items() if not several]:
        raise MalformedCredential(f"{without[0]} has no password")
    return digests

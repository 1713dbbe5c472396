"""Who is asking: credentials as HTTP basic or bearer token, of which the server needs to know the hashes only.

`python -m config_server.credentials` makes a credential and prints it with its hash.
"""

import base64
import binascii
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from chassis.hashed_credentials import MalformedCredential, digest_of_sent, digest_of_written, hashed

from .errors import CredentialNeeded

ADMIN = "admin"

_CREDENTIAL_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a request comes from: an application, or the admin, who may read everything."""

    name: str
    is_admin: bool = False


class Credentials:
    """The credentials of all readers; each may have several, of which any will do.

    Raises MalformedCredential.
    """

    def __init__(self, applications: Mapping[str, Sequence[str]], admin: Sequence[str] = ()) -> None:
        self.names = frozenset(applications)
        self._digests = {Reader(name): _digests(name, several) for name, several in applications.items()}
        if admin:
            if ADMIN in applications:
                raise MalformedCredential(f"{ADMIN} is an application's name and the administrator's")
            self._digests[Reader(ADMIN, is_admin=True)] = _digests(ADMIN, admin)
        self._by_name = {reader.name: reader for reader in self._digests}
        self._by_digest = self._of_one_reader_each()
        self._nobodys = [secrets.token_bytes(32)]  # compared for unknown names, so that they take as long

    def reader(self, authorization: str | None) -> Reader:
        """Whom an Authorization header proves (RFC 7617, RFC 6750). Raises CredentialNeeded."""
        scheme, _, sent = (authorization or "").partition(" ")
        match scheme.lower():
            case "basic":
                reader = self._by_password(sent.strip())
            case "bearer":
                # Looked up by its hash, whose bytes nobody can choose: how long that takes tells nothing.
                reader = self._by_digest.get(sha256(sent.strip().encode("latin-1")).digest())  # as headers are
            case _:
                raise CredentialNeeded(
                    "Send a credential: as HTTP basic with the application's name, or as a bearer token."
                )
        if reader is None:
            raise CredentialNeeded("The name or the credential is wrong.")
        return reader

    def _by_password(self, encoded: str) -> Reader | None:
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = colon = password = ""
        reader = self._by_name.get(name)
        digest = digest_of_sent(password)
        expected = self._nobodys if reader is None else self._digests[reader]
        matches = [compare_digest(digest, one) for one in expected]
        return reader if any(matches) and colon else None

    def _of_one_reader_each(self) -> dict[bytes, Reader]:
        # A bearer token has no name beside it: where two have the same, it would say nothing.
        readers: dict[bytes, list[Reader]] = {}
        for reader, digests in self._digests.items():
            for digest in set(digests):
                readers.setdefault(digest, []).append(reader)
        return {digest: found[0] for digest, found in readers.items() if len(found) == 1}


def _digests(name: str, several: Sequence[str]) -> list[bytes]:
    return [digest_of_written(name, written) for written in several]


def main() -> None:
    """Make a credential that nobody can guess."""
    credential = secrets.token_urlsafe(_CREDENTIAL_BYTES)
    sys.stdout.write(f"for the application: {credential}\nfor config-server:   {hashed(credential)}\n")


if __name__ == "__main__":
    main()

"""Credentials as settings have them: in the open, or as their SHA-256, so that they can't be read there."""

import binascii
import re
from hashlib import sha256

_HASHED = "{sha256}"
# How other servers write hashes; taken for a password, such a thing would be a password that stands in the open.
_OTHER_HASH = re.compile(r"\{(?:argon2|bcrypt|scrypt|pbkdf2|md[45]|sha|ldap)(?:@[^}]*)?\}", re.IGNORECASE)


class MalformedCredential(Exception):
    """A credential can't be used as it is configured; the message says why, and shows nothing of it."""


def hashed(credential: str) -> str:
    """A credential as a setting may have it: `{sha256}` and 64 hexadecimal digits."""
    return _HASHED + digest_of_sent(credential).hex()


def digest_of_sent(credential: str) -> bytes:
    """What a credential that was sent is compared by.

    A plain SHA-256: safe for long random ones, which is what these are, and so cheap that wrong guesses don't keep a
    server busy.
    """
    return sha256(credential.encode()).digest()


def digest_of_written(name: str, written: str) -> bytes:
    """The same of a credential as it stands in a setting; `name` is whose it is. Raises MalformedCredential."""
    if not written:
        raise MalformedCredential(f"the password of {name} is empty")
    if _OTHER_HASH.match(written):
        raise MalformedCredential(f"the password of {name} is a hash of a kind that is not used here: {_HASHED} is")
    if not written.startswith(_HASHED):
        return digest_of_sent(written)
    try:
        digest = binascii.unhexlify(written.removeprefix(_HASHED))
    except ValueError:
        digest = b""
    if len(digest) != sha256().digest_size:
        raise MalformedCredential(f"the password of {name} has no 64 hexadecimal digits after {_HASHED}")
    return digest

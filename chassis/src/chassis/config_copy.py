"""The last good configuration on disk, sealed with the service's own password, since secrets may be in it."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

logger = logging.getLogger(__name__)

_FORMAT = b"FLCONF01"
_SALT_BYTES = 16
_NONCE_BYTES = 12  # NIST SP 800-38D §5.2.1.1


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer of a config-server: who gave it, its ETag (empty: it had none), when, and what was in it."""

    address: str
    etag: str
    saved_at: float
    properties: Mapping[str, Any]


class LastGoodCopy:
    """A file of mode 0600: AES-256-GCM under a key that HKDF (RFC 5869) derives from the password.

    The config-server sends secrets decrypted, so nothing is kept where there is no password to seal it with. The
    password is expected to be generated: HKDF does not make a guessable one any better.
    """

    def __init__(self, path: Path, password: str) -> None:
        self._path = path
        self._password = password

    def read(self) -> Kept | None:
        """What was kept; None if nothing was, or under another password, or if somebody changed the file."""
        if not self._password:
            return None
        try:
            sealed = self._path.read_bytes()
        except OSError:
            return None
        body = sealed[len(_FORMAT) :]
        salt, nonce, text = body[:_SALT_BYTES], body[_SALT_BYTES:][:_NONCE_BYTES], body[_SALT_BYTES + _NONCE_BYTES :]
        try:
            plain = AESGCM(self._key(salt)).decrypt(nonce, text, self._context)
            return Kept(**json.loads(plain))
        except (InvalidTag, ValueError, TypeError):
            return None

    def write(self, kept: Kept) -> None:
        """Replace the file, whole or not at all. What keeps it from being written is logged."""
        if not self._password:
            _say_once("no copy of the configuration is kept: without SERVICE_PASSWORD it could not be sealed")
            return
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        plain = json.dumps(
            {
                "address": kept.address,
                "etag": kept.etag,
                "saved_at": kept.saved_at,
                "properties": dict(kept.properties),
            }
        ).encode()
        sealed = _FORMAT + salt + nonce + AESGCM(self._key(salt)).encrypt(nonce, plain, self._context)
        new = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(sealed)
            new.replace(self._path)
        except OSError as error:
            logger.warning("the last good configuration can't be kept in %s: %s", self._path, error)

    @property
    def _context(self) -> bytes:
        # The name says whose copy it is: that of another profile can't be put in its place.
        return _FORMAT + self._path.name.encode()

    def _key(self, salt: bytes) -> bytes:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"flotilla: last good configuration")
        return derivation.derive(self._password.encode())


_say_once = lru_cache(maxsize=1)(logger.info)

"""Encrypts and decrypts texts as Spring's AesBytesEncryptor does, with one key or, while keys are changed, several."""

import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import pbkdf2_hmac
from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

_IV_BYTES = 16
_KEY_BYTES = 32
_BLOCK_BITS = 128
_ITERATIONS = 1024  # all that Spring takes; the key has to be a long random one

# `{key:blue}{secret:x}` before a text; `{plain}` says that what follows is no prefix any more.
_PREFIX = re.compile(r"\{([^{}:]*):([^{}]*)\}")
_PLAIN = "{plain}"


class Undecryptable(Exception):
    """A text was not encrypted with any key that is known here. The message shows nothing of it."""


@dataclass(frozen=True, slots=True)
class PrefixedText:
    """A text without the prefixes that say how it is to be encrypted or was; `prefixes` is how they were written."""

    prefixes: str
    key_id: str | None
    text: str

    @classmethod
    def of(cls, written: str) -> Self:
        key_id = None
        end = 0
        while (prefix := _PREFIX.match(written, end)) is not None:
            if prefix[1] == "key":
                key_id = prefix[2]
            end = prefix.end()
        return cls(written[:end], key_id, written[end:].removeprefix(_PLAIN))


class Key:
    """One key, made of a password and a salt in hexadecimal digits (PBKDF2, RFC 8018 §5.2)."""

    def __init__(self, key_id: str, password: str, salt: str) -> None:
        self.id = key_id
        derived = pbkdf2_hmac("sha1", password.encode(), bytes.fromhex(salt), _ITERATIONS, _KEY_BYTES)
        self._algorithm = algorithms.AES(derived)

    def encrypt(self, text: str) -> str:
        iv = secrets.token_bytes(_IV_BYTES)
        padder = PKCS7(_BLOCK_BITS).padder()
        padded = padder.update(text.encode()) + padder.finalize()
        encryptor = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        return (iv + encryptor.update(padded) + encryptor.finalize()).hex()

    def decrypt(self, encrypted: str) -> str:
        """Raises Undecryptable."""
        try:
            data = binascii.unhexlify(encrypted)
            decryptor = Cipher(self._algorithm, modes.CBC(data[:_IV_BYTES])).decryptor()
            padded = decryptor.update(data[_IV_BYTES:]) + decryptor.finalize()
            unpadder = PKCS7(_BLOCK_BITS).unpadder()
            return (unpadder.update(padded) + unpadder.finalize()).decode()
        except ValueError:  # no hexadecimal digits, no whole blocks, a wrong padding, no UTF-8
            raise Undecryptable("This is not encrypted with a key that is known here.") from None


class KeyRing:
    """The key that new texts are encrypted with, and the older ones that are still read."""

    def __init__(self, current: Key, older: Sequence[Key] = ()) -> None:
        self._current = current
        self._keys = (current, *older)

    def encrypt(self, written: str) -> str:
        """A text encrypted, with its prefixes before it; `{key:id}` chooses a key, where there is one with this id.

        Where the current key has an id, it is written before what was encrypted with it.
        """
        asked = PrefixedText.of(written)
        chosen = self._named(asked.key_id)
        key = chosen or self._current
        prefixes = asked.prefixes
        if self._current.id and asked.key_id is None:
            prefixes += f"{{key:{self._current.id}}}"
        while True:
            encrypted = key.encrypt(asked.text)
            # Once in a million times some other key seems to fit as well: see `decrypt`.
            if chosen or len(self._readings(encrypted)) == 1:
                return prefixes + encrypted

    def decrypt(self, written: str) -> str:
        """The text that was encrypted; there may be prefixes before it, of which `{key:id}` says the key.

        Raises:
            Undecryptable: no key fits, or more than one, since CBC does not say when a key is wrong: rather none
                than a wrong password.
        """
        asked = PrefixedText.of(written)
        if (key := self._named(asked.key_id)) is not None:
            return key.decrypt(asked.text)
        readings = self._readings(asked.text)
        if len(readings) != 1:
            raise Undecryptable("This is not encrypted with a key that is known here, or several keys seem to fit.")
        return readings.pop()

    def is_current(self, written: str) -> bool:
        """Whether a text was encrypted with the current key, and says so if the key has an id."""
        asked = PrefixedText.of(written)
        if self._current.id:
            return asked.key_id == self._current.id
        try:
            self._current.decrypt(asked.text)
        except Undecryptable:
            return False
        return True

    def _named(self, key_id: str | None) -> Key | None:
        # An unknown id is no error: a server with a single key takes no notice of it, as Spring's does not.
        return next((key for key in self._keys if key_id and key.id == key_id), None)

    def _readings(self, encrypted: str) -> set[str]:
        readings = set()
        for key in self._keys:
            try:
                readings.add(key.decrypt(encrypted))
            except Undecryptable:
                continue
        return readings

"""Decrypts the `{cipher}` values of an environment, for those who may read it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .documents import Value
from .encryption import KeyRing, Undecryptable
from .environments import PropertySource

logger = logging.getLogger(__name__)

CIPHER = "{cipher}"
_UNREADABLE = "<n/a>"


@dataclass(frozen=True, slots=True)
class DecryptedSources:
    """Property sources with their secrets readable, and the keys under which those stand."""

    sources: list[PropertySource]
    secrets: tuple[str, ...]


def decrypt_values(sources: Sequence[PropertySource], key_ring: KeyRing | None) -> DecryptedSources:
    """All `{cipher}` values decrypted; without a key they stay as they are written.

    As in Spring, they stand at the end of their source without an origin, and one that can't be decrypted becomes
    `invalid.<key>: "<n/a>"`.
    """
    if key_ring is None:
        return DecryptedSources(list(sources), ())
    decrypted: list[PropertySource] = []
    secrets: dict[str, None] = {}
    for source in sources:
        encrypted = {
            key: value.value
            for key, value in source.values.items()
            if isinstance(value.value, str) and value.value.startswith(CIPHER)
        }
        if not encrypted:
            decrypted.append(source)
            continue
        values = {key: value for key, value in source.values.items() if key not in encrypted}
        for key, written in encrypted.items():
            try:
                values[key] = Value(key_ring.decrypt(written.removeprefix(CIPHER)), 0, 0)
                secrets[key] = None
            except Undecryptable:
                values[f"invalid.{key}"] = Value(_UNREADABLE, 0, 0)
                _tell_once("%s in %s can't be decrypted with any key that is known here", key, source.name)
        decrypted.append(replace(source, values=values))
    return DecryptedSources(decrypted, tuple(secrets))


# A value that stays wrong from commit to commit is no reason to say so at each.
_tell_once = lru_cache(maxsize=1000)(logger.error)

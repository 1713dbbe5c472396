"""What can be told about the keys of `{cipher}` values."""

import re
from collections.abc import Iterator

from chassis.settings import ServiceSettings, SettingsInvalid
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from .encryption import Key, KeyRing

_KEY_ID = r"[A-Za-z0-9._-]*"


class EncryptionSettings(ServiceSettings):
    """The keys: the one that is written with, and those that are still read."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")

    encrypt_key: SecretStr = Field(SecretStr(""), description="key of the {cipher} values, Spring's encrypt.key")
    encrypt_key_id: str = Field(
        "", pattern=f"^{_KEY_ID}$", description="if set, {key:...} with it goes before what is encrypted with the key"
    )
    encrypt_older_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description='keys that are still read: JSON object of id and key: {"2025": "..."}'
    )
    encrypt_salt: str = Field(
        "deadbeef", pattern=r"^([0-9a-fA-F]{2})+$", description="salt of all keys in hexadecimal digits"
    )

    def key_ring(self) -> KeyRing | None:
        """The keys, or None where there is none. Raises SettingsInvalid."""
        current = self.encrypt_key.get_secret_value()
        older = {key_id: key.get_secret_value() for key_id, key in self.encrypt_older_keys.items()}
        if older and not current:
            raise SettingsInvalid("CONFIG_SERVER_ENCRYPT_OLDER_KEYS needs a CONFIG_SERVER_ENCRYPT_KEY beside it.")
        for key_id, key in older.items():
            if not (key and key_id and re.fullmatch(_KEY_ID, key_id)) or key_id == self.encrypt_key_id:
                raise SettingsInvalid(
                    f"CONFIG_SERVER_ENCRYPT_OLDER_KEYS: {key_id!r} needs a key, and an id of letters, digits and ._- "
                    "which CONFIG_SERVER_ENCRYPT_KEY_ID is not."
                )
        if not current:
            return None
        salt = self.encrypt_salt
        return KeyRing(
            Key(self.encrypt_key_id, current, salt), [Key(key_id, key, salt) for key_id, key in older.items()]
        )

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for key_id, key in self.encrypt_older_keys.items():
            yield f"CONFIG_SERVER_ENCRYPT_OLDER_KEYS ({key_id})", key.get_secret_value()

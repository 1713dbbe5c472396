"""Keys of `{cipher}` values that can't be as they are set are refused at the start, and none is shown."""

import pytest
from chassis.settings import SettingsInvalid

from config_server.encryption import Key
from config_server.encryption_settings import EncryptionSettings

# With their names in config files: in the environment CONFIG_SERVER_ENCRYPT_KEY, and so on.
KEYS = {"config-server.encrypt-key": "current-s3cr3t", "config-server.encrypt-key-id": "2026"}


class TestKeyRing:
    def test_all_keys_are_read_with_and_the_current_one_is_written_with(self) -> None:
        settings = EncryptionSettings.of(
            {**KEYS, "config-server.encrypt-older-keys": {"2025": "old"}, "config-server.encrypt-salt": "cafe"}
        )

        ring = settings.key_ring()

        assert ring is not None
        assert ring.decrypt(Key("", "old", "cafe").encrypt("x")) == "x"
        new = ring.encrypt("y").removeprefix("{key:2026}")
        assert Key("", "current-s3cr3t", "cafe").decrypt(new) == "y"

    def test_without_a_key_there_is_none(self) -> None:
        assert EncryptionSettings.of({}).key_ring() is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"config-server.encrypt-older-keys": {"2025": "old-s3cr3t"}},
            {**KEYS, "config-server.encrypt-older-keys": {"2026": "old-s3cr3t"}},
            {**KEYS, "config-server.encrypt-older-keys": {"a b": "old-s3cr3t"}},
            {**KEYS, "config-server.encrypt-older-keys": {"": "old-s3cr3t"}},
            {**KEYS, "config-server.encrypt-older-keys": {"2025": ""}},
            {**KEYS, "config-server.encrypt-salt": "salt"},
            {**KEYS, "config-server.encrypt-salt": ""},
            {**KEYS, "config-server.encrypt-key-id": "a}b"},
        ],
    )
    def test_what_can_t_be_is_refused_without_showing_a_key(self, fields: dict[str, object]) -> None:
        with pytest.raises(SettingsInvalid) as raised:
            EncryptionSettings.of(fields).key_ring()

        assert "s3cr3t" not in str(raised.value)


class TestSecrets:
    def test_all_keys_are_known_to_be_secret(self) -> None:
        settings = EncryptionSettings.of({**KEYS, "config-server.encrypt-older-keys": {"2025": "old"}})

        assert dict(settings.secrets()) == {
            "CONFIG_SERVER_ENCRYPT_KEY": "current-s3cr3t",
            "CONFIG_SERVER_ENCRYPT_OLDER_KEYS (2025)": "old",
        }
        assert "current-s3cr3t" not in repr(settings)

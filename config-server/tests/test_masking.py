"""What is taken for a secret, in explanations and in checks."""

import pytest

from config_server.documents import Scalar
from config_server.masking import HIDDEN, is_secret_key, secret_in_clear, shown


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "spring.datasource.password",
        "admin-password",
        "adminPassword",
        "DB_PASSWORD",
        "client.secret",
        "jwt.secret-key",
        "api-key",
        "apiKey",
        "github.token",
        "tokens[0]",
        "passwords.somebody",
        "passwords[0].value",
        "config-server.credentials.order-service",
        "password-hash",
    ],
)
def test_a_key_that_is_called_like_a_secret_is_one(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "[0]",
        "token.issuer",
        "auth.key-rotation-seconds",
        "auth.access-token-seconds",
        "public-key",
        "kafka.partition-key",
        "keyboard",
        "monkey",
        "jwks.url",
    ],
)
def test_a_key_that_only_sounds_like_one_is_none(key: str) -> None:
    assert not is_secret_key(key)


class TestShown:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("password", "hunter2"),
            ("password", 1234),
            ("password", "${PASSWORD:hunter2}"),
            ("password", "x${PASSWORD}"),
            ("anything", "{cipher}00ff"),
            ("anything", "x{cipher}00ff"),
            ("anything", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"),
        ],
    )
    def test_a_secret_is_asterisks(self, key: str, value: Scalar) -> None:
        assert shown(key, value) == HIDDEN

    @pytest.mark.parametrize(
        ("value", "wanted"),
        [
            ("https://me:pw@host/x", f"https://me:{HIDDEN}@host/x"),
            ("redis://:pw@host", f"redis://:{HIDDEN}@host"),
            ("jdbc:db://host/x?user=me&password=pw&ssl=1", f"jdbc:db://host/x?user=me&password={HIDDEN}&ssl=1"),
            ("Server=x;Password=pw;", f"Server=x;Password={HIDDEN};"),
            ("db://${USER}:${DB_PASSWORD:pw}@host", f"db://${{USER}}:{HIDDEN}@host"),
            ("${A:${API_KEY:pw}}", f"${{A:${{API_KEY:{HIDDEN}}}}}"),
        ],
    )
    def test_a_secret_within_a_value_is_asterisks(self, value: str, wanted: str) -> None:
        assert shown("url", value) == wanted

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("name", "hunter2"),
            ("port", 8080),
            ("password", ""),
            ("use-token", True),
            ("password", "${PASSWORD}"),
            ("password", "${PASSWORD:}"),
            ("url", "https://me@host/x?page=2"),
            ("url", "db://${USER}:${DB_PASSWORD}@host"),
            ("greeting", "${name:stranger}"),
        ],
    )
    def test_what_is_none_is_shown(self, key: str, value: Scalar) -> None:
        assert shown(key, value) == value


class TestSecretInClear:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("password", "hunter2"),
            ("password", 1234),
            ("token", "${TOKEN:hunter2}"),
            ("url", "https://me:hunter2@host"),
            ("url", "db://host?password=hunter2"),
            ("tls", "-----BEGIN PRIVATE KEY-----\nhunter2"),
        ],
    )
    def test_is_named_without_itself(self, key: str, value: Scalar) -> None:
        what = secret_in_clear(key, value)

        assert what is not None
        assert what.startswith(f"{key} ")
        assert "hunter2" not in what

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("password", "{cipher}00ff"),
            ("password", "${PASSWORD}"),
            ("password", ""),
            ("use-token", False),
            ("tls.key", "/run/secrets/tls.pem"),
            ("tls.key", "file:/run/secrets/tls.pem"),
            ("refresh-token", "https://auth.example/refresh"),
            ("url", "https://me:${PASSWORD}@host"),
        ],
    )
    def test_is_not_what_is_encrypted_or_comes_from_elsewhere(self, key: str, value: Scalar) -> None:
        assert secret_in_clear(key, value) is None

    def test_is_what_the_reader_declares_as_secret(self) -> None:
        assert secret_in_clear("database.dsn", "host=x", declared_secret=True) is not None
        assert secret_in_clear("database.dsn", "host=x") is None

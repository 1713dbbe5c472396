"""What the server can be told."""

from pathlib import Path

import pytest
from chassis.settings import SettingsInvalid

from discovery_server.settings import DiscoverySettings


def test_without_credentials_it_refuses_to_start_with_a_sentence() -> None:
    with pytest.raises(
        SettingsInvalid, match=r"set DISCOVERY_SERVER_CREDENTIALS .* or DISCOVERY_SERVER_ANONYMOUS=true"
    ):
        DiscoverySettings.load()


IMPOSSIBLE = ['{"orders": ""}', '{"": "s3cr3t"}', '{"orders": []}', '{"orders": ["s3cr3t", ""]}', '{"a:b": "s3cr3t"}']
IMPOSSIBLE += ['{"orders": "{bcrypt}s3cr3t"}', '{"orders": "{sha256}s3cr3t"}', '{"orders": {"s3cr3t": 1}}']
IMPOSSIBLE += ['{"orders": 5}', '{"orders": "s3cr3t"']


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        *(("CREDENTIALS", written) for written in [*IMPOSSIBLE, "orders", "[]", "{}"]),
        *(("ADMIN_CREDENTIALS", written) for written in IMPOSSIBLE),
        ("READ_TOKENS", '["s3cr3t", ""]'),
        ("READING", "s3cr3t"),
    ],
)
def test_credentials_that_can_not_be_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": "x"}')
    monkeypatch.setenv(f"DISCOVERY_SERVER_{variable}", written)

    with pytest.raises(SettingsInvalid, match=rf"(?i){variable}") as refused:
        DiscoverySettings.load()
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"root": "a", "eve": ["b", "c"]}', {"root": ["a"], "eve": ["b", "c"]}),
        ("a", {"admin": ["a"]}),
        ("a, b", {"admin": ["a", "b"]}),
        ('["a", "b"]', {"admin": ["a", "b"]}),
        ("", {}),
    ],
)
def test_administrators_are_written_like_services_or_as_passwords_of_admin(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: dict[str, list[str]]
) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_ANONYMOUS", "true")
    monkeypatch.setenv("DISCOVERY_SERVER_ADMIN_CREDENTIALS", written)

    read = DiscoverySettings.load().admin_credentials

    assert {name: [one.get_secret_value() for one in several] for name, several in read.items()} == meant


@pytest.mark.parametrize(
    ("written", "meant"), [("a", ["a"]), ("a, b,", ["a", "b"]), ('["a,b", "c"]', ["a,b", "c"]), ("", [])]
)
def test_read_tokens_are_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: list[str]
) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_ANONYMOUS", "true")
    monkeypatch.setenv("DISCOVERY_SERVER_READ_TOKENS", written)

    assert [token.get_secret_value() for token in DiscoverySettings.load().read_tokens] == meant


def test_credentials_in_a_config_file_and_in_the_environment_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": "a"}')

    settings = DiscoverySettings.of(
        {"discovery-server.credentials.billing[0]": "b", "discovery-server.credentials.billing[1]": "c"}
    )

    assert {name: len(several) for name, several in settings.credentials.items()} == {"orders": 1, "billing": 2}


def test_it_listens_on_eurekas_port_and_registers_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": "secret-of-orders"}')
    monkeypatch.setenv("DISCOVERY_URL", "http://127.0.0.1:8761/eureka")

    settings = DiscoverySettings.load()

    assert settings.port == 8761
    assert settings.discovery_url == ""
    assert "secret-of-orders" not in repr(settings)


def test_a_known_development_secret_among_the_credentials_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": ["long enough", "changeme"]}')
    monkeypatch.setenv("DISCOVERY_SERVER_ADMIN_CREDENTIALS", "admin")
    monkeypatch.setenv("DISCOVERY_SERVER_READ_TOKENS", "x,dev")

    found = set(DiscoverySettings.load().secrets())

    assert found > {
        ("DISCOVERY_SERVER_CREDENTIALS of orders", "changeme"),
        ("DISCOVERY_SERVER_ADMIN_CREDENTIALS of admin", "admin"),
        ("DISCOVERY_SERVER_READ_TOKENS", "dev"),
    }


def test_self_preservation_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_ANONYMOUS", "true")
    monkeypatch.setenv("DISCOVERY_SERVER_SELF_PRESERVATION", "false")

    assert not DiscoverySettings.load().preservation.enabled


@pytest.mark.parametrize("field", DiscoverySettings.model_fields)
def test_every_setting_of_its_own_stands_in_the_readme(field: str) -> None:
    variable = DiscoverySettings.variable_of(field)
    readme = (Path(__file__).parent.parent / "README.md").read_text()

    assert not variable.startswith("DISCOVERY_SERVER_") or variable in readme

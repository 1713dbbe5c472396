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


@pytest.mark.parametrize("credentials", ["orders", '{"orders": ""}', '{"": "x"}', "[]"])
def test_credentials_that_can_not_be_are_refused(monkeypatch: pytest.MonkeyPatch, credentials: str) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", credentials)

    with pytest.raises(SettingsInvalid, match=r"(?i)credentials"):
        DiscoverySettings.load()


def test_it_listens_on_eurekas_port_and_registers_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": "secret-of-orders"}')
    monkeypatch.setenv("DISCOVERY_URL", "http://127.0.0.1:8761/eureka")

    settings = DiscoverySettings.load()

    assert settings.port == 8761
    assert settings.discovery_url == ""
    assert "secret-of-orders" not in repr(settings)


def test_a_known_development_secret_among_the_credentials_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_CREDENTIALS", '{"orders": "changeme"}')

    assert ("DISCOVERY_SERVER_CREDENTIALS of orders", "changeme") in DiscoverySettings.load().secrets()


def test_self_preservation_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_ANONYMOUS", "true")
    monkeypatch.setenv("DISCOVERY_SERVER_SELF_PRESERVATION", "false")

    assert not DiscoverySettings.load().preservation.enabled


@pytest.mark.parametrize("field", DiscoverySettings.model_fields)
def test_every_setting_of_its_own_stands_in_the_readme(field: str) -> None:
    variable = DiscoverySettings.variable_of(field)
    readme = (Path(__file__).parent.parent / "README.md").read_text()

    assert not variable.startswith("DISCOVERY_SERVER_") or variable in readme

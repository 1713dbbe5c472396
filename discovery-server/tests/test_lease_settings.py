"""What can be told of leases."""

from pathlib import Path

import pytest
from chassis.settings import SettingsInvalid

from discovery_server.settings import DiscoverySettings


@pytest.fixture(autouse=True)
def anybody_may_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_ANONYMOUS", "true")
    monkeypatch.delenv("STATE_DIR", raising=False)


def test_by_default_leases_last_once_and_nobody_is_asked() -> None:
    settings = DiscoverySettings.load()

    assert settings.lease_factor == 1.0
    assert settings.probing is None
    assert settings.slow_start_seconds == 0


def test_eurekas_two_durations_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_DOUBLE_LEASE", "true")

    assert DiscoverySettings.load().lease_factor == 2.0


@pytest.mark.parametrize(
    ("host", "own_machine"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("a.test", False),
    ],
)
def test_this_machine_is_asked_only_by_a_server_that_nobody_else_reaches(
    monkeypatch: pytest.MonkeyPatch, host: str, own_machine: bool
) -> None:
    monkeypatch.setenv("DISCOVERY_SERVER_PROBE", "true")
    monkeypatch.setenv("HOST", host)
    probing = DiscoverySettings.load().probing

    assert probing is not None
    assert probing.own_machine is own_machine


def test_a_snapshot_is_kept_only_in_a_folder_that_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert DiscoverySettings.load().snapshot_path is None

    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", "8762")

    assert DiscoverySettings.load().snapshot_path == tmp_path / "registry-8762.json"
    monkeypatch.delenv("STATE_DIR")
    assert DiscoverySettings.of({"state-dir": str(tmp_path)}).snapshot_path == tmp_path / "registry-8762.json"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SWEEP_SECONDS", "5"),  # as long as what is taken for a standstill, after which nobody is dropped at once
        ("SWEEP_SECONDS", "0"),
        ("PROBE_INTERVAL_SECONDS", "0"),
        ("PRESERVATION_LIMIT_SECONDS", "-1"),
        ("SLOW_START_SECONDS", "1.5"),
        ("WARM_UP_SECONDS", "soon"),
    ],
)
def test_what_can_not_be_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"DISCOVERY_SERVER_{variable}", value)

    with pytest.raises(SettingsInvalid, match=variable.lower()):
        DiscoverySettings.load()

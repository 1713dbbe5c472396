"""Settings: where a value comes from, and what happens to one that can't be."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from chassis.actuator import refresh_settings
from chassis.settings import CommaList, ServiceSettings, SettingsInvalid, refreshable


class Route(BaseModel):
    id: str
    prefix: str


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "demo-service"

    model_config = SettingsConfigDict(env_prefix="DEMO_")

    deadline_seconds: float = refreshable(60.0)
    paths: CommaList = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    weights: dict[str, int] = Field(default_factory=dict)
    secret: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def _a_bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(Settings.variable_of(name), raising=False)


def test_the_environment_wins_over_config_files_and_those_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"demo.deadline-seconds": 5, "log.level": "DEBUG"}
    monkeypatch.setenv("DEMO_DEADLINE_SECONDS", "7")

    settings = Settings.of(files)

    assert settings.deadline_seconds == 7
    assert settings.log_level == "DEBUG"
    assert settings.port == 0


@pytest.mark.parametrize("key", ["demo.deadline-seconds", "demo.deadline.seconds", "demo.deadline_seconds"])
def test_a_key_may_be_written_with_dots_hyphens_or_underscores(key: str) -> None:
    assert Settings.of({key: 5}).deadline_seconds == 5


def test_lists_and_maps_come_from_flat_keys() -> None:
    settings = Settings.of(
        {
            "demo.paths[0]": "a",
            "demo.paths[1]": "b",
            "demo.routes[0].id": "x",
            "demo.routes[0].prefix": "/x",
            "demo.routes[1].id": "y",
            "demo.routes[1].prefix": "/y",
            "demo.weights.some-key": 3,
        }
    )

    assert settings.paths == ["a", "b"]
    assert settings.routes == [Route(id="x", prefix="/x"), Route(id="y", prefix="/y")]
    assert settings.weights == {"some-key": 3}


def test_a_list_in_the_environment_is_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PATHS", "a, b,,c")

    assert Settings.of({}).paths == ["a", "b", "c"]


def test_new_keys_do_not_trouble_old_code() -> None:
    assert Settings.of({"demo.not-known-yet": 1, "other.thing": 2}).deadline_seconds == 60


def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")

    with pytest.raises(SettingsInvalid, match="PORT: Input should be a valid integer"):
        Settings.of({})


def test_secrets_are_listed_by_their_variables() -> None:
    assert dict(Settings(secret=SecretStr("s3cret")).secrets()) == {"DEMO_SECRET": "s3cret"}


class TestRefresh:
    def test_what_can_change_while_running_does_and_the_rest_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        monkeypatch.setenv("STATE_DIR", str(tmp_path))
        settings = Settings.load()
        (tmp_path / "demo-service.yml").write_text("demo:\n  deadline-seconds: 5\n  paths: [x]\n")

        answer = refresh_settings(settings)

        assert answer == {"changed": ["DEMO_DEADLINE_SECONDS"], "wait_for_restart": ["DEMO_PATHS"]}
        assert settings.deadline_seconds == 5
        assert settings.paths == []

    def test_a_value_that_cannot_be_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        settings = Settings.load()
        (tmp_path / "demo-service.yml").write_text("demo:\n  deadline-seconds: soon\n")

        with pytest.raises(SettingsInvalid):
            refresh_settings(settings)

        assert settings.deadline_seconds == 60

    def test_a_log_level_that_there_is_not_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        settings = Settings.load()
        (tmp_path / "demo-service.yml").write_text("log.level: LOUD\ndemo.deadline-seconds: 5\n")

        with pytest.raises(SettingsInvalid, match="LOG_LEVEL: Value error, there is no level 'LOUD'"):
            refresh_settings(settings)

        assert (settings.log_level, settings.deadline_seconds) == ("INFO", 60)

"""The schema of a service's settings: what those who check config files need to know of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from chassis.settings import CommaList, ServiceSettings, refreshable
from chassis.settings_schema import schema_of, settings_of


class Route(BaseModel):
    id: str


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "demo-service"

    model_config = SettingsConfigDict(env_prefix="DEMO_")

    deadline_seconds: float = refreshable(60.0, description="how long")
    paths: CommaList = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    secret: SecretStr = SecretStr("")


def test_a_field_is_under_its_key_in_config_files_with_its_variable() -> None:
    schema = json.loads(schema_of(Settings))

    assert schema["$id"] == "demo-service"
    assert schema["properties"]["demo.deadline-seconds"]["type"] == "number"
    assert schema["properties"]["demo.deadline-seconds"]["refreshable"] is True
    assert schema["properties"]["demo.deadline-seconds"]["variable"] == "DEMO_DEADLINE_SECONDS"
    assert schema["properties"]["demo.paths"]["type"] == "array"
    assert schema["properties"]["demo.secret"]["format"] == "password"
    assert schema["properties"]["demo.routes"]["items"] == {"$ref": "#/$defs/Route"}
    assert schema["$defs"]["Route"]["required"] == ["id"]


def test_the_fields_of_every_service_are_there_without_its_prefix() -> None:
    properties = json.loads(schema_of(Settings))["properties"]

    assert properties["kafka.bootstrap"]["variable"] == "KAFKA_BOOTSTRAP"
    assert properties["max.body-bytes"]["variable"] == "MAX_BODY_BYTES"
    assert properties["port"]["variable"] == "PORT"
    assert len(properties) == len(Settings.model_fields)


def test_every_key_is_one_that_settings_are_read_from() -> None:
    values = {"demo.deadline-seconds": 5, "demo.paths": "a,b", "max.body-bytes": 7, "kafka.bootstrap": "x:1"}

    assert values.keys() <= json.loads(schema_of(Settings))["properties"].keys()
    settings = Settings.of(values)
    assert (settings.deadline_seconds, settings.paths, settings.max_body_bytes) == (5, ["a", "b"], 7)


def test_a_folder_of_this_machine_is_no_default() -> None:
    assert "default" not in json.loads(schema_of(Settings))["properties"]["state.dir"]


class TestCommand:
    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        """A folder with a service's package in it."""
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "__init__.py").touch()
        (tmp_path / "demo" / "settings.py").write_text(
            "from typing import ClassVar\n"
            "from chassis.settings import ServiceSettings\n"
            "class DemoSettings(ServiceSettings):\n"
            "    service_name: ClassVar[str] = 'demo'\n"
            "    speed: int = 1\n"
        )
        return tmp_path

    def _run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chassis.settings_schema", "demo", "schemas", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)

    def test_writes_a_file_for_each_service_and_says_when_one_is_stale(self, package: Path) -> None:
        stale = self._run(package, "--check")
        written = self._run(package)
        fresh = self._run(package, "--check")

        assert (stale.returncode, stale.stderr) == (1, "stale, run 'make generate': schemas/demo.json\n")
        assert (written.returncode, written.stdout) == (0, "wrote schemas/demo.json\n")
        assert (fresh.returncode, fresh.stderr) == (0, "")
        assert "speed" in json.loads((package / "schemas" / "demo.json").read_text())["properties"]

    def test_a_package_without_settings_is_named(self) -> None:
        with pytest.raises(ImportError, match="email"):
            settings_of("email")

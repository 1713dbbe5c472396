"""The README tells of everything that can be set and asked for."""

from pathlib import Path

import pytest
from chassis.settings import ServiceSettings

from config_server.settings import Settings

_README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("field", sorted(set(Settings.model_fields) - set(ServiceSettings.model_fields)))
def test_a_setting_is_in_the_readme(field: str) -> None:
    assert f"`{Settings.variable_of(field)}`" in _README


@pytest.mark.parametrize("module", sorted(path.name for path in Path(__file__).parent.parent.glob("src/*/[a-z]*.py")))
def test_a_module_is_in_the_readme(module: str) -> None:
    assert f"`{module}`" in _README

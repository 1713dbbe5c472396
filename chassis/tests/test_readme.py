"""The README tells of every module, and of every setting that all services have."""

from pathlib import Path

import chassis
from chassis.settings import ServiceSettings

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_names_every_module() -> None:
    folder = Path(chassis.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py"} - {"__init__"}

    assert sorted(name for name in modules if f"`{name}`" not in README.read_text()) == []


def test_the_readme_names_every_setting() -> None:
    variables = {ServiceSettings.variable_of(name) for name in ServiceSettings.model_fields}

    assert sorted(name for name in variables if f"`{name}`" not in README.read_text()) == []

"""The README is the service's canvas: its settings and what it says are on it."""

from pathlib import Path

from chassis.testing.readme import assert_readme_tells

from auth_service.events import SAID
from auth_service.settings import Settings


def test_the_readme_names_every_setting_and_event() -> None:
    assert_readme_tells(Path(__file__).parents[1] / "README.md", Settings, SAID, ())

"""The README is the service's canvas: its settings, what it says and what it hears are on it."""

from pathlib import Path

from chassis.reactions import Reactions
from chassis.testing.readme import assert_readme_tells

from payment_service.events import SAID
from payment_service.reactions import REACTIONS
from payment_service.settings import Settings


def test_the_readme_names_every_setting_and_event() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    assert_readme_tells(readme, Settings, SAID, Reactions(None, REACTIONS).event_types)

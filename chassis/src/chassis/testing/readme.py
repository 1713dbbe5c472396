"""The assertion that a README tells of what there is."""

from collections.abc import Iterable
from pathlib import Path

from chassis.messages import Event
from chassis.settings import ServiceSettings


def assert_readme_tells(
    readme: Path, settings_type: type[ServiceSettings], said: Iterable[type[Event]], heard: Iterable[type[Event]]
) -> None:
    """The README names each setting of the service's own, and each event that it says or hears."""
    text = readme.read_text()
    own = set(settings_type.model_fields) - set(ServiceSettings.model_fields)
    names = {settings_type.variable_of(name) for name in own}
    names |= {event_type.type for event_type in (*said, *heard)}
    missing = sorted(name for name in names if name not in text)
    assert missing == [], f"{readme} does not tell of {', '.join(missing)}"

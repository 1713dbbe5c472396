"""What inventory-service says fits contracts/; what it hears it can read from its owners' samples."""

from pathlib import Path

from chassis.reactions import Reactions
from chassis.testing.contracts import assert_says_as_promised, assert_understands_samples

from inventory_service.events import SAID
from inventory_service.reactions import REACTIONS

HERE = Path(__file__).parent


def test_every_event_said_fits_its_sample_and_schema() -> None:
    assert_says_as_promised(HERE.parent / "contracts", SAID)


def test_every_event_heard_can_be_read_from_its_owners_sample() -> None:
    assert_understands_samples(HERE / "contracts", Reactions(None, REACTIONS).event_types)

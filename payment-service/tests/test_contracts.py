"""What payment-service says matches contracts/; what it hears can be read from samples of its owners."""

from pathlib import Path

from chassis.reactions import Reactions
from chassis.testing.contracts import assert_says_as_promised, assert_understands_samples

from payment_service.events import SAID
from payment_service.reactions import REACTIONS

HERE = Path(__file__).parent


def test_every_event_said_fits_its_sample_and_schema() -> None:
    assert_says_as_promised(HERE.parent / "contracts", SAID)


def test_every_event_heard_can_be_read_from_its_owners_sample() -> None:
    assert_understands_samples(HERE / "contracts", Reactions(None, REACTIONS).event_types)

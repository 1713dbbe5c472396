"""What auth-service says matches contracts/."""

from pathlib import Path

from chassis.testing.contracts import assert_says_as_promised

from auth_service.events import SAID

HERE = Path(__file__).parent


def test_every_event_said_fits_its_sample_and_schema() -> None:
    assert_says_as_promised(HERE.parent / "contracts", SAID)

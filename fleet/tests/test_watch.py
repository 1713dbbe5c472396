"""One part that is kept running, and the pauses between its starts."""

import subprocess
import sys

import pytest
from chassis.testing.waiting import wait_until

from fleet import watch
from fleet.plan import Part, Wave
from fleet.state import Home
from fleet.watch import Kept, Running

_PART = Part(name="one", wave=Wave.SERVICES, port=1)


def _start_what_fails(_: Part) -> Running:
    return subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(7)"])


def _cannot_start(_: Part) -> Running:
    raise OSError("no such program")


def test_a_part_that_keeps_dying_is_started_again_after_longer_and_longer_pauses(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_BACKOFF_SECONDS", (0.0, 0.05, 0.1))
    kept = Kept(_PART, _start_what_fails, home.log_of("one"))
    pauses = []

    for death in range(5):
        wait_until(kept.start_if_due, "it is started again")
        wait_until(kept.notice_death, "it has died")
        pauses.append(kept.seconds_until_start or 0.0)
        assert kept.report.restarts == death + 1

    assert pauses == pytest.approx([0.0, 0.05, 0.1, 0.1, 0.1], abs=0.02)
    assert kept.keeps_dying()
    assert kept.report.last_death == "ended with exit code 7; the end of its log: it has none"


def test_a_part_that_ran_for_a_while_is_started_again_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(_PART, _start_what_fails, home.log_of("one"))
    for _ in range(2):
        wait_until(kept.start_if_due, "it is started")
        wait_until(kept.notice_death, "it has died")
    assert (kept.seconds_until_start or 0.0) > 0.1

    monkeypatch.setattr(watch, "_STEADY_SECONDS", 0.0)
    wait_until(kept.start_if_due, "it is started")
    wait_until(kept.notice_death, "it has died")

    assert kept.seconds_until_start == 0.0


def test_a_part_that_can_not_be_started_at_all_counts_as_dead(home: Home) -> None:
    kept = Kept(_PART, _cannot_start, home.log_of("one"))

    assert not kept.start_if_due()

    assert kept.report.condition == "down"
    assert kept.report.last_death == "no such program"

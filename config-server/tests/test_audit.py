"""The audit says who read what: at once, and then not more than once an hour."""

import logging

import pytest

from config_server.audit import Audit
from config_server.credentials import Reader
from config_server.queries import Query

QUERY = Query.of("app", "prod", None)
READER = Reader("app")


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def audit(clock: _Clock) -> Audit:
    return Audit(now_seconds=clock)


def _reads(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [vars(record)["reads"] for record in caplog.records if record.name == "config_server.audit"]


class TestNoteRead:
    def test_repeats_are_counted_in_one_line_an_hour(
        self, audit: Audit, clock: _Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        for clock.seconds in (0.0, 10.0, 3599.0, 3600.0, 3601.0):
            audit.note_read(READER, QUERY, ("c1",), ("a",))

        assert _reads(caplog) == [1, 3]

    def test_another_reader_query_or_commit_is_a_line_of_its_own(
        self, audit: Audit, caplog: pytest.LogCaptureFixture
    ) -> None:
        audit.note_read(READER, QUERY, ("c1",), ("a",))
        audit.note_read(Reader("admin", is_admin=True), QUERY, ("c1",), ("a",))
        audit.note_read(READER, Query.of("app", "dev", None), ("c1",), ("a",))
        audit.note_read(READER, QUERY, ("c2",), ("a",))

        assert _reads(caplog) == [1, 1, 1, 1]

    def test_an_answer_without_secrets_is_no_line(self, audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
        audit.note_read(READER, QUERY, ("c1",), ())

        assert _reads(caplog) == []

    def test_the_lines_are_written_whatever_the_level_of_the_logs_is(
        self, audit: Audit, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging.getLogger(), "level", logging.ERROR)

        audit.note_read(READER, QUERY, ("c1",), ("a",))

        assert _reads(caplog) == [1]

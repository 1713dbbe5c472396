"""Logs: one readable line for each, all services in the order of time, and what comes later."""

import json
import threading
from collections.abc import Iterator

import pytest

from fleet.logs import Line, lines_of, readable
from fleet.state import FleetProblem, Home


def _json_line(service: str, time: str, message: str, **more: str) -> str:
    return (
        json.dumps({"time": time, "level": "INFO", "service": service, "logger": "a.b", "message": message, **more})
        + "\n"
    )


def test_the_lines_of_all_services_come_in_the_order_of_time(home: Home) -> None:
    home.log_of("a").write_text(
        _json_line("a", "2026-01-01T10:00:00", "1") + _json_line("a", "2026-01-01T10:00:02", "3")
    )
    home.log_of("b").write_text(_json_line("b", "2026-01-01T10:00:01", "2"))

    assert [line.fields["message"] for line in lines_of(home)] == ["1", "2", "3"]


def test_a_line_that_is_no_json_stays_behind_the_one_before_it(home: Home) -> None:
    home.log_of("a").write_text(_json_line("a", "2026-01-01T10:00:00", "1") + "Traceback\n{half\n")
    home.log_of("b").write_text(_json_line("b", "2026-01-01T10:00:01", "2"))

    assert [line.text[:9] for line in lines_of(home)] == ['{"time": ', "Traceback", "{half", '{"time": ']


def test_plain_lines_with_a_time_stand_where_they_belong(home: Home) -> None:
    first, third = _json_line("a", "2026-01-01T10:00:00", "1"), _json_line("a", "2026-01-01T10:00:02", "3")
    home.log_of("a").write_text(first + third)
    home.log_of("postgres").write_text("2026-01-01 10:00:01.500 UTC [7] LOG:  2\n")
    home.log_of("fleet").write_text("2026-01-01 10:00:02,500 INFO 4\n")

    assert [line.text.strip('"}')[-1] for line in lines_of(home)] == ["1", "2", "3", "4"]


def test_one_service_alone(home: Home) -> None:
    home.log_of("a").write_text("of a\n")
    home.log_of("b").write_text("of b\n")

    assert [line.text for line in lines_of(home, "b")] == ["of b"]


def test_an_unknown_service_is_told_with_those_that_there_are(home: Home) -> None:
    home.log_of("order-service").touch()

    with pytest.raises(FleetProblem, match=r"There is no log of order in .*; there are: order-service\."):
        next(lines_of(home, "order"))


def test_what_is_written_later_follows_also_into_a_log_that_has_begun_anew(home: Home) -> None:
    log = home.log_of("a")
    log.write_text("one\n")
    lines = lines_of(home, follow=True)
    assert next(lines).text == "one"

    with log.open("a") as file:
        file.write("two\nunfini")
    assert _next_within_seconds(lines).text == "two"
    with log.open("a") as file:
        file.write("shed\n")
    assert _next_within_seconds(lines).text == "unfinished"

    log.replace(log.with_suffix(".log.1"))
    log.write_text("three\n")
    assert _next_within_seconds(lines).text == "three"


def _next_within_seconds(lines: Iterator[Line]) -> Line:
    found: list[Line] = []
    reader = threading.Thread(target=lambda: found.append(next(lines)), daemon=True)
    reader.start()
    reader.join(5)
    assert found, "no further line came within 5 s"
    return found[0]


def test_a_line_shows_time_level_service_message_what_was_added_and_the_trace(home: Home) -> None:
    home.log_of("a").write_text(
        _json_line("a", "2026-01-01T10:00:00.123+00:00", "it happened", order="7", trace_id="abc", exception="Boom\n")
    )

    shown = readable(next(lines_of(home))).plain

    assert shown.split() == ["10:00:00.123", "INFO", "a", "it", "happened", "order=7", "abc", "Boom"]


def test_a_line_that_is_no_json_is_shown_as_it_is(home: Home) -> None:
    home.log_of("postgres").write_text("LOG:  ready [now]\n")

    assert readable(next(lines_of(home))).plain.split(maxsplit=1) == ["postgres", "LOG:  ready [now]"]

"""Event streams are read as WHATWG HTML §9.2.6 wants it, in whatever pieces they come."""

import pytest

from chassis.discovery.event_stream import EventParser, StreamEvent

# The examples of the specification, and what they have to be read as.
EXAMPLES = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", "")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
    (b"data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
    (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        [("add", "73857293", ""), ("remove", "2153", "")],
    ),
]
ODDITIES = [
    (b"\xef\xbb\xbfdata: after a byte order mark\n\n", [("message", "after a byte order mark", "")]),
    (b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "1")]),
    (b"event: lost\n\ndata: a\n\n", [("message", "a", "")]),
    (b"retry: 10\nDATA: a\nnonsense\n\ndata: b\xe2\x80\xa8\n\n", [("message", "b\u2028", "")]),
]


@pytest.mark.parametrize(("stream", "events"), EXAMPLES + ODDITIES)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_the_events_are_the_same_wherever_the_stream_is_cut(
    stream: bytes, events: list[tuple[str, str, str]], line_end: bytes
) -> None:
    stream = stream.replace(b"\n", line_end)
    wanted = [StreamEvent(*event) for event in events]

    for border in range(len(stream) + 1):
        parser = EventParser()
        assert [*parser.feed(stream[:border]), *parser.feed(stream[border:])] == wanted
    parser = EventParser()
    assert [event for byte in stream for event in parser.feed(bytes([byte]))] == wanted


def test_an_id_without_data_is_no_event_and_yet_where_to_go_on() -> None:
    parser = EventParser("7")

    assert parser.last_id == "7"
    assert list(parser.feed(b": keep-alive\nid: 9\n\n")) == []
    assert parser.last_id == "9"


def test_an_event_that_is_not_whole_does_not_change_where_to_go_on() -> None:
    parser = EventParser("7")

    assert list(parser.feed(b"id: 9\ndata: half")) == []

    assert parser.last_id == "7"

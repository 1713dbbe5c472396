"""One trace through HTTP and Kafka, and its id in the logs."""

import json
import logging

from opentelemetry import trace
from support.demo import DemoSettings

from chassis.logs import JsonFormatter, OnceInAWhile, log_context
from chassis.messages import Envelope, Event, handling
from chassis.telemetry import SpanKind, configure_tracing, current_trace_id, inject_trace, span

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Happened(Event):
    topic = "demo-events"
    type = "demo.happened.v1"


def setup_module() -> None:
    configure_tracing(DemoSettings())


def test_a_trace_that_comes_in_goes_on_in_what_is_called_and_published() -> None:
    with span("request", SpanKind.SERVER, carrier={"traceparent": PARENT}):
        assert current_trace_id() == TRACE
        assert inject_trace({})["traceparent"].split("-")[1] == TRACE
        envelope = Envelope.of(Happened(), key="k", source="/demo-service")

    assert envelope.trace_id == TRACE
    with span("handle", SpanKind.CONSUMER, carrier=envelope.trace), handling(envelope):
        answer = Envelope.of(Happened(), key="k", source="/other-service")
    assert answer.trace_id == TRACE
    assert answer.causation_id == str(envelope.id)


def test_without_a_trace_that_comes_in_a_new_one_begins() -> None:
    with span("request", SpanKind.SERVER, carrier={}):
        first = current_trace_id()
    with span("request", SpanKind.SERVER, carrier={"traceparent": "not a traceparent"}):
        second = current_trace_id()

    assert first is not None
    assert second is not None
    assert first != second
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_envelope_survives_its_way_through_a_record() -> None:
    with span("request", SpanKind.SERVER, carrier={"traceparent": PARENT}):
        sent = Envelope.of(Happened(), key="k", source="/demo-service")

    heard = Envelope.from_record(topic=sent.topic, key=b"k", headers=sent.headers(), value=sent.data)

    assert heard == sent


def test_a_chatty_library_says_the_same_thing_once_in_a_while() -> None:
    once = OnceInAWhile("aiokafka", seconds=30)

    def passes(name: str, message: str, at: float) -> bool:
        return once.filter(logging.makeLogRecord({"name": name, "msg": message, "created": at}))

    assert passes("aiokafka.conn", "away", 100)
    assert not passes("aiokafka.conn", "away", 129)
    assert passes("aiokafka.conn", "back", 129)
    assert passes("aiokafka.conn", "away", 131)
    assert passes("demo", "away", 100)
    assert passes("demo", "away", 100)


def test_a_log_line_is_json_with_the_trace_and_what_else_is_known() -> None:
    formatter = JsonFormatter("demo-service")
    token = log_context.set({"request_id": "r1"})
    try:
        with span("request", SpanKind.SERVER, carrier={"traceparent": PARENT}):
            record = logging.makeLogRecord(
                {"name": "demo", "levelname": "INFO", "msg": "%s is „fine“\n", "args": ("Ada",), "order": 7}
            )
            line = formatter.format(record)
    finally:
        log_context.reset(token)

    assert "\n" not in line
    shown = json.loads(line)
    assert shown.pop("time").endswith("+00:00")
    assert shown == {
        "level": "INFO",
        "service": "demo-service",
        "logger": "demo",
        "message": "Ada is „fine“\n",
        "trace_id": TRACE,
        "request_id": "r1",
        "order": 7,
    }

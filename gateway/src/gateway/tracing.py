"""The trace of a request: continued from the client's traceparent, or begun here; a real span only where it is sent."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.telemetry import SpanKind, inject_trace, span

from .headers import RawHeaders

# W3C Trace Context §3.2: version, trace id, parent id, flags; all-zero ids are invalid.
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


@contextmanager
def traced(name: str, traceparent: bytes, tracestate: bytes) -> Iterator[RawHeaders]:
    """A span around one request, recorded by OpenTelemetry; the block gets the headers that carry it on."""
    carrier = {"traceparent": traceparent.decode("latin-1"), "tracestate": tracestate.decode("latin-1")}
    with span(name, SpanKind.SERVER, carrier=carrier):
        yield [(key.encode("ascii"), value.encode("latin-1")) for key, value in inject_trace({}).items()]


def trace_headers(traceparent: bytes, tracestate: bytes) -> RawHeaders:
    """The headers that carry a trace on where no span is recorded: some 200 µs cheaper than OpenTelemetry."""
    known = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    span_id = random.getrandbits(64) or 1
    if known is None:
        trace_id = random.getrandbits(128) or 1
        return [(b"traceparent", b"00-%032x-%016x-00" % (trace_id, span_id))]
    headers = [(b"traceparent", b"00-%b-%016x-%b" % (known[1], span_id, known[2]))]
    if tracestate:
        headers.append((b"tracestate", tracestate))
    return headers


def is_recorded(traceparent: bytes) -> bool:
    """Whether a span may be recorded: the client began no trace, or one that it records."""
    known = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return known is None or bool(int(known[2], 16) & 1)


def trace_id_of(headers: RawHeaders) -> str:
    """The trace id in headers made here, for logs."""
    return next((value[3:35].decode("ascii") for name, value in headers if name == b"traceparent"), "")

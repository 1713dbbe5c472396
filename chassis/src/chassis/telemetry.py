"""Traces: W3C trace context through HTTP and Kafka, sent by OTLP where a receiver is named."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from .settings import ServiceSettings

__all__ = ["SpanKind", "configure_tracing", "current_trace_id", "inject_trace", "span"]

_tracer = trace.get_tracer("chassis")


def configure_tracing(settings: ServiceSettings) -> None:
    """Make this process's tracer provider; to be called once, at start.

    Without `otlp_endpoint` spans go nowhere, but their ids still travel and stand in the logs.
    """
    ratio = settings.trace_sample_ratio if settings.otlp_endpoint else 0.0
    sampler: Sampler = ParentBased(TraceIdRatioBased(ratio))
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": settings.service_name}))
    if settings.otlp_endpoint:
        # Imported only where used: the exporter brings requests and protobuf along, 15 MB and 0.2 s.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    carrier: Mapping[str, str] | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span around a block; its parent is read from `carrier` (`traceparent`, ...) if one is given."""
    parent = propagate.extract(carrier) if carrier is not None else context.get_current()
    with _tracer.start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as current:
        yield current


def inject_trace(carrier: dict[str, str]) -> dict[str, str]:
    """Add the current `traceparent` (W3C Trace Context §3.2) to a carrier, and return it."""
    propagate.inject(carrier)
    return carrier


def current_trace_id() -> str | None:
    """The current trace id, 32 hex digits, or None outside any trace."""
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else None

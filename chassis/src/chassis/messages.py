"""Events and their envelope: CloudEvents 1.0 in Kafka's binary mode, as every service says and hears them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from .ids import uuid7
from .telemetry import inject_trace

# Kafka's record headers, as aiokafka takes and gives them.
Headers = Sequence[tuple[str, bytes]]

_TRACE_HEADERS = ("traceparent", "tracestate")


class Unreadable(Exception):
    """A record that is no event of ours, or whose data does not fit its type; trying again would not help."""


class Event(BaseModel):
    """Base of what is said or heard. Unknown fields are ignored, so that owners may add some (promise K10)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: ClassVar[str]
    type: ClassVar[str]  # `owner.what-happened.vN`

    @classmethod
    def read(cls, envelope: "Envelope") -> Self:
        """The data of an envelope as this event. Raises Unreadable."""
        try:
            return cls.model_validate_json(envelope.data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Unreadable(f"the data is no {envelope.type}: {where}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event on its way: the CloudEvents attributes, the Kafka key, and the JSON data as bytes."""

    id: UUID
    type: str
    source: str
    key: str
    time: datetime
    correlation_id: str
    causation_id: str | None
    trace: Mapping[str, str]
    topic: str
    data: bytes

    @classmethod
    def of(cls, event: Event, *, key: object, source: str) -> "Envelope":
        """A new event, caused by the one that is being handled, if any, and in its trace and correlation."""
        cause = _handling.get()
        return cls(
            id=uuid7(),
            type=event.type,
            source=source,
            key=str(key),
            time=datetime.now(UTC),
            correlation_id=cause.correlation_id if cause else str(key),
            causation_id=str(cause.id) if cause else None,
            trace=inject_trace({}),
            topic=event.topic,
            data=event.model_dump_json().encode(),
        )

    def headers(self) -> list[tuple[str, bytes]]:
        """The record headers (CNCF Kafka protocol binding §3.2, binary content mode)."""
        pairs = {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_type": self.type,
            "ce_source": self.source,
            "ce_subject": self.key,
            "ce_time": self.time.isoformat().replace("+00:00", "Z"),
            "ce_correlationid": self.correlation_id,
            "content-type": "application/json",
            **self.trace,
        }
        if self.causation_id:
            pairs["ce_causationid"] = self.causation_id
        return [(name, value.encode()) for name, value in pairs.items()]

    @classmethod
    def from_record(cls, *, topic: str, key: bytes | None, headers: Headers, value: bytes | None) -> "Envelope":
        """Read a record. Raises Unreadable with what is missing or wrong."""
        found = {name.lower(): content for name, content in headers}
        try:
            texts = {name: content.decode() for name, content in found.items()}
            return cls(
                id=UUID(texts["ce_id"]),
                type=texts["ce_type"],
                source=texts["ce_source"],
                key=key.decode() if key is not None else texts["ce_subject"],
                time=datetime.fromisoformat(texts["ce_time"]),
                correlation_id=texts.get("ce_correlationid", texts.get("ce_subject", "")),
                causation_id=texts.get("ce_causationid"),
                trace={name: texts[name] for name in _TRACE_HEADERS if name in texts},
                topic=topic,
                data=value or b"",
            )
        except KeyError as error:
            raise Unreadable(f"the record has no header {error}") from error
        except (ValueError, AttributeError) as error:
            raise Unreadable(f"a header can't be read: {error}") from error

    @property
    def trace_id(self) -> str | None:
        """The trace it belongs to, 32 hex digits (W3C Trace Context §3.2.2.3)."""
        _, _, rest = self.trace.get("traceparent", "").partition("-")
        return rest.partition("-")[0] or None

    def json(self) -> Any:
        """The data as plain JSON values."""
        return json.loads(self.data)


_handling: ContextVar[Envelope | None] = ContextVar("handling", default=None)


@contextmanager
def handling(envelope: Envelope) -> Iterator[None]:
    """What is published inside the block was caused by this event."""
    token = _handling.set(envelope)
    try:
        yield
    finally:
        _handling.reset(token)


def handled_event() -> Envelope | None:
    """The event that is being handled, if any: for what goes on after its transaction, and wants to name its cause."""
    return _handling.get()


def topics_of(event_types: Iterable[type[Event]]) -> list[str]:
    """The topics these events travel on, each once, sorted."""
    return sorted({event_type.topic for event_type in event_types})

"""What can be set, for the broker and for each topic, with the names and meanings of Kafka's own settings."""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ErrorCode, KafkaError


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    data: Path
    host: str = "127.0.0.1"
    port: int = 9092
    """0 takes a free port."""

    fsync: bool = False
    """Whether an append waits for the disk. A killed process loses nothing either way; a power cut may without."""

    max_request_bytes: int = 16 * 1024 * 1024
    max_fetch_bytes: int = 8 * 1024 * 1024
    max_connections: int = 400
    max_partitions: int = 400
    half_request_seconds: float = 30
    """How long a request may take to arrive once it has begun."""
    idle_seconds: float = 600
    housekeeping_seconds: float = 30
    """How often retention and idle connections are looked at."""

    initial_rebalance_seconds: float = 0.05
    """How long the first member of a group waits for others, so that they share the first rebalance."""
    min_session_seconds: float = 0.5
    max_session_seconds: float = 1800


# Kafka's defaults, but for segment.bytes (there 1 GiB): small segments let retention work at a laptop's scale.
TOPIC_DEFAULTS = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "16777216",
}
_BOUNDS = {
    "max.message.bytes": (0, 2**31 - 1),
    "retention.bytes": (-1, 2**63 - 1),
    "retention.ms": (-1, 2**63 - 1),
    "segment.bytes": (14, 2**31 - 1),  # Kafka's least is 1 MiB: tests would have to write megabytes
}


def check_topic_config(name: str, value: str | None) -> None:
    """Refuses what is unknown, out of range, or would ask for a behaviour that this broker has not."""
    if name not in TOPIC_DEFAULTS:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
    if value is None:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value for topic config: {name}")
    if name in _BOUNDS:
        least, most = _BOUNDS[name]
        if not re.fullmatch(r"-?\d{1,19}", value) or not least <= int(value) <= most:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG, f"{name} must be a number from {least} to {most}, not {value!r}."
            )
    elif value != TOPIC_DEFAULTS[name]:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} can only be {TOPIC_DEFAULTS[name]!r} here, not {value!r}.")

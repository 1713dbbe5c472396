"""A Kafka-protocol broker in one process, for laptops and tests. One node, no replication: never for production."""

from .server import CannotStart, EmbeddedKafka, serve

__all__ = ["CannotStart", "EmbeddedKafka", "serve"]

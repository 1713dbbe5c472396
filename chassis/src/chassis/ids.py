"""Identifiers that sort by the time they were made: UUIDv7 (RFC 9562 §5.7)."""

from uuid import UUID

from uuid_utils import compat


def uuid7() -> UUID:
    """A new UUIDv7; within one process each is greater than the one before."""
    return compat.uuid7()

"""The errors of Kafka's protocol that this broker gives, with Kafka's numbers (https://kafka.apache.org/protocol)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

_MESSAGE_CHARACTERS = 1000  # what was wrong may itself be long


class ErrorCode(IntEnum):
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    MESSAGE_TOO_LARGE = 10
    OFFSET_METADATA_TOO_LARGE = 12
    INVALID_TOPIC_EXCEPTION = 17
    INVALID_REQUIRED_ACKS = 21
    ILLEGAL_GENERATION = 22
    INCONSISTENT_GROUP_PROTOCOL = 23
    INVALID_GROUP_ID = 24
    UNKNOWN_MEMBER_ID = 25
    INVALID_SESSION_TIMEOUT = 26
    REBALANCE_IN_PROGRESS = 27
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_VERSION = 35
    TOPIC_ALREADY_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_REPLICA_ASSIGNMENT = 39
    INVALID_CONFIG = 40
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    KAFKA_STORAGE_ERROR = 56
    NON_EMPTY_GROUP = 68
    GROUP_ID_NOT_FOUND = 69
    FETCH_SESSION_ID_NOT_FOUND = 70
    UNSUPPORTED_COMPRESSION_TYPE = 76
    INVALID_RECORD = 87


class KafkaError(Exception):
    """A refusal that the client gets as an error code, with a sentence where the response has room for one."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        super().__init__(message or code.name)
        self.code = code


def answered(
    known: dict[str, Any], handle: Callable[..., dict[str, Any] | None], *arguments: Any, tell_why: bool = False
) -> dict[str, Any]:
    """One of a response's answers: what is known, with what the call gives, or with the code of its refusal."""
    try:
        return known | (handle(*arguments) or {})
    except KafkaError as error:
        return (
            known
            | {"error_code": error.code}
            | ({"error_message": str(error)[:_MESSAGE_CHARACTERS]} if tell_why else {})
        )

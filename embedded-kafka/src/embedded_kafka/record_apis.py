"""Requests about records: Produce, Fetch, ListOffsets, InitProducerId."""

import asyncio

from . import messages
from .caller import Caller
from .errors import ErrorCode, KafkaError
from .fetch import fetch
from .identity import Identity
from .log import PartitionLog
from .records import check_produced
from .topics import Topics

_LATEST, _EARLIEST = -1, -2


class RecordApis:
    def __init__(self, topics: Topics, identity: Identity, max_fetch_bytes: int) -> None:
        self._topics, self._identity, self._max_fetch_bytes = topics, identity, max_fetch_bytes

    def produce(self, request: messages.ProduceRequest, caller: Caller) -> messages.ProduceResponse | None:
        """None if the producer wants no answer."""
        answers, failed = [], False
        for name, partitions in request.topics:
            answered = []
            for index, records in partitions:
                try:
                    if request.acks not in (-1, 0, 1):
                        raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
                    if request.transactional_id is not None:
                        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
                    topic, log = self._topics.partition(name, index)
                    header = check_produced(
                        records, max_bytes=topic.max_message_bytes, zstd_allowed=caller.api_version >= 7
                    )
                    offset = log.append(header, memoryview(records or b""), segment_bytes=topic.segment_bytes)
                    answered.append(messages.ProducedPartition(index, ErrorCode.NONE, offset, -1, log.start_offset))
                except KafkaError as error:
                    failed = True
                    answered.append(messages.ProducedPartition(index, error.code, -1, -1, -1))
            answers.append(messages.Topic(name, answered))
        if request.acks == 0:
            if failed:
                raise ConnectionAbortedError("a batch was refused, and with acks=0 there is no other way to say so")
            return None
        return messages.ProduceResponse(answers)

    def fetch(
        self, request: messages.FetchRequest, caller: Caller
    ) -> messages.FetchResponse | asyncio.Future[messages.FetchResponse]:
        return fetch(request, self._topics, self._max_fetch_bytes)

    def list_offsets(self, request: messages.ListOffsetsRequest, caller: Caller) -> messages.ListOffsetsResponse:
        answers = []
        for name, partitions in request.topics:
            answered = []
            for index, timestamp in partitions:
                try:
                    offset, found_timestamp = _place(self._topics.partition(name, index)[1], timestamp)
                    answered.append(messages.ListedOffset(index, ErrorCode.NONE, found_timestamp, offset))
                except KafkaError as error:
                    answered.append(messages.ListedOffset(index, error.code, -1, -1))
            answers.append(messages.Topic(name, answered))
        return messages.ListOffsetsResponse(0, answers)

    def init_producer_id(
        self, request: messages.InitProducerIdRequest, caller: Caller
    ) -> messages.InitProducerIdResponse:
        if request.transactional_id is not None:
            return messages.InitProducerIdResponse(0, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, -1)
        return messages.InitProducerIdResponse(0, ErrorCode.NONE, self._identity.new_producer_id(), 0)


def _place(log: PartitionLog, timestamp_ms: int) -> tuple[int, int]:
    if timestamp_ms == _LATEST:
        return log.end_offset, -1
    if timestamp_ms == _EARLIEST:
        return log.start_offset, -1
    return log.first_at_or_after(timestamp_ms) or (-1, -1)

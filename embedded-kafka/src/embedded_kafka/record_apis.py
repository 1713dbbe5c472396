"""Requests about records: Produce, Fetch, ListOffsets, InitProducerId."""

import asyncio
from typing import Any

from .errors import ErrorCode, KafkaError, answered
from .identity import Identity
from .messages import Caller
from .records import check_produced
from .topics import Topics

_LATEST, _EARLIEST = -1, -2
# KIP-227 lets a broker keep no fetch sessions: every request then names all its partitions.
_FULL_FETCH = (0, -1)  # epochs that would begin a session, and end one


class RecordApis:
    def __init__(self, topics: Topics, identity: Identity, max_fetch_bytes: int) -> None:
        self._topics, self._identity, self._max_fetch_bytes = topics, identity, max_fetch_bytes

    def produce(self, request: Any, caller: Caller) -> dict[str, Any] | None:
        """None if the producer wants no answer."""
        answers, failed = [], False
        for name, partitions in request.topics:
            appended = [answered({"partition": each[0]}, self._append, request, name, *each) for each in partitions]
            failed = failed or any("error_code" in answer for answer in appended)
            answers.append({"name": name, "partitions": appended})
        if request.acks != 0:
            return {"topics": answers}
        if failed:
            raise ConnectionAbortedError("a batch was refused, and with acks=0 there is no other way to say so")
        return None

    def _append(self, request: Any, name: str, index: int, records: memoryview | None) -> dict[str, Any]:
        if request.acks not in (-1, 0, 1):
            raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
        if request.transactional_id is not None:
            raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        topic, log = self._topics.partition(name, index)
        header, batch = check_produced(records, max_bytes=topic.max_message_bytes)
        offset = log.append(header, batch, segment_bytes=topic.segment_bytes)
        return {"base_offset": offset, "log_start_offset": log.start_offset}

    def fetch(self, request: Any, caller: Caller) -> dict[str, Any] | asyncio.Future[dict[str, Any]]:
        """What is there is given at once; else the request waits until enough is appended or its time is up."""
        if request.session_epoch not in _FULL_FETCH:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        response, size_bytes, failed = self._read(request)
        if size_bytes >= request.min_bytes or failed or request.max_wait_ms <= 0:
            return response
        return self._read_when_there_is_enough(request, request.min_bytes - size_bytes)

    def list_offsets(self, request: Any, caller: Caller) -> dict[str, Any]:
        answers = []
        for name, partitions in dict(request.topics).items():  # each once: a time may take long to find
            times = dict(partitions).items()
            places = [answered({"partition": index}, self._place, name, index, time) for index, time in times]
            answers.append({"name": name, "partitions": places})
        return {"topics": answers}

    def _place(self, name: str, index: int, timestamp_ms: int) -> dict[str, Any]:
        log = self._topics.partition(name, index)[1]
        if timestamp_ms == _LATEST:
            return {"offset": log.end_offset}
        if timestamp_ms == _EARLIEST:
            return {"offset": log.start_offset}
        if timestamp_ms < 0:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)  # the special times of versions newer than ours
        found = log.first_at_or_after(timestamp_ms)
        return {"offset": found[0], "timestamp": found[1]} if found else {}

    def init_producer_id(self, request: Any, caller: Caller) -> dict[str, Any]:
        if request.transactional_id is not None:
            raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        return {"producer_id": self._identity.new_producer_id(), "producer_epoch": 0}

    def _read(self, request: Any) -> tuple[dict[str, Any], int, bool]:
        """The response, how many bytes of records it has, and whether a partition could not be read."""
        left_bytes = limit_bytes = min(request.max_bytes, self._max_fetch_bytes)
        answers, failed = [], False
        for name, partitions in request.topics:
            found = []
            for asked in partitions:
                # Always at least one batch, however large (KIP-74): else its reader could never get past it.
                at_least_one = left_bytes == limit_bytes
                answer = answered({"partition": asked.partition}, self._records, name, asked, left_bytes, at_least_one)
                left_bytes -= len(answer.get("records", b""))
                failed = failed or "error_code" in answer
                found.append(answer)
            answers.append({"name": name, "partitions": found})
        return {"topics": answers}, limit_bytes - left_bytes, failed

    def _records(self, name: str, asked: Any, left_bytes: int, at_least_one: bool) -> dict[str, Any]:
        log = self._topics.partition(name, asked.partition)[1]
        records = log.read(asked.fetch_offset, min(asked.max_bytes, left_bytes), at_least_one=at_least_one)
        end = {"high_watermark": log.end_offset, "last_stable_offset": log.end_offset}
        return {"records": records, "log_start_offset": log.start_offset, **end}

    def _read_when_there_is_enough(self, request: Any, missing_bytes: int) -> asyncio.Future[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        logs = [self._topics.partition(name, each.partition)[1] for name, asked in request.topics for each in asked]

        def finish() -> None:
            if not future.done():
                try:
                    future.set_result(self._read(request)[0])
                except OSError as error:
                    future.set_exception(error)

        def on_append(size_bytes: int) -> None:
            nonlocal missing_bytes
            before, missing_bytes = missing_bytes, missing_bytes - size_bytes
            if before > 0 >= missing_bytes:
                # Once the request that appends is through: it may have more for us, in other partitions.
                loop.call_soon(finish)

        def stop(_: object) -> None:
            """Also when the client has gone."""
            timer.cancel()
            for log in logs:
                log.on_append.discard(on_append)

        timer = loop.call_later(request.max_wait_ms / 1000, finish)
        future.add_done_callback(stop)
        for log in logs:
            log.on_append.add(on_append)
        return future

"""Fetch: what is there is given at once; else the request waits until enough is appended or its time is up."""

import asyncio

from .errors import ErrorCode, KafkaError
from .log import PartitionLog
from .messages import FetchedPartition, FetchRequest, FetchResponse, Topic
from .topics import Topics

# KIP-227 lets a broker keep no fetch sessions: every request then names all its partitions.
_NO_SESSION = 0
_FULL_FETCH = (0, -1)  # epochs that would begin a session, and end one


def fetch(request: FetchRequest, topics: Topics, limit_bytes: int) -> FetchResponse | asyncio.Future[FetchResponse]:
    if request.session_epoch not in _FULL_FETCH:
        return FetchResponse(0, ErrorCode.FETCH_SESSION_ID_NOT_FOUND, _NO_SESSION, [])
    limit_bytes = min(request.max_bytes, limit_bytes)
    response, size_bytes, failed = _read(request, topics, limit_bytes)
    if size_bytes >= request.min_bytes or failed or request.max_wait_ms <= 0:
        return response
    return _Waiting(request, topics, limit_bytes, size_bytes).answer


class _Waiting:
    def __init__(self, request: FetchRequest, topics: Topics, limit_bytes: int, size_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[FetchResponse] = loop.create_future()
        self.answer.add_done_callback(self._stop)  # also when the client has gone
        self._request, self._topics, self._limit_bytes = request, topics, limit_bytes
        self._missing_bytes = request.min_bytes - size_bytes
        self._timer = loop.call_later(request.max_wait_ms / 1000, self._finish)
        self._logs = [log for log in _logs(request, topics) if log]
        for log in self._logs:
            log.waiters.add(self)

    def on_append(self, size_bytes: int) -> None:
        enough = self._missing_bytes > 0
        self._missing_bytes -= size_bytes
        if enough and self._missing_bytes <= 0:
            # Once the request that appends is through: it may have more for us, in other partitions.
            asyncio.get_running_loop().call_soon(self._finish)

    def _finish(self) -> None:
        if self.answer.done():
            return
        try:
            self.answer.set_result(_read(self._request, self._topics, self._limit_bytes)[0])
        except OSError as error:
            self.answer.set_exception(error)

    def _stop(self, _: object) -> None:
        self._timer.cancel()
        for log in self._logs:
            log.waiters.discard(self)


def _logs(request: FetchRequest, topics: Topics) -> list[PartitionLog | None]:
    found: list[PartitionLog | None] = []
    for topic in request.topics:
        known = topics.get(topic.name)
        logs = known.partitions if known else []
        found += [logs[asked.partition] if 0 <= asked.partition < len(logs) else None for asked in topic.partitions]
    return found


def _read(request: FetchRequest, topics: Topics, limit_bytes: int) -> tuple[FetchResponse, int, bool]:
    """The response, how many bytes of records it has, and whether a partition could not be read."""
    logs = iter(_logs(request, topics))
    answers: list[Topic[FetchedPartition]] = []
    total_bytes, failed = 0, False
    for topic in request.topics:
        partitions = []
        for asked in topic.partitions:
            log = next(logs)
            try:
                if log is None:
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                # Always at least one batch, however large (KIP-74): else its reader could never get past it.
                wanted_bytes = min(asked.max_bytes, limit_bytes - total_bytes)
                records = log.read(asked.fetch_offset, wanted_bytes, at_least_one=total_bytes == 0)
            except KafkaError as error:
                failed = True
                partitions.append(FetchedPartition(asked.partition, error.code, -1, -1, -1, None, -1, b""))
                continue
            total_bytes += len(records)
            end = log.end_offset
            partitions.append(
                FetchedPartition(asked.partition, ErrorCode.NONE, end, end, log.start_offset, None, -1, records)
            )
        answers.append(Topic(topic.name, partitions))
    return FetchResponse(0, ErrorCode.NONE, _NO_SESSION, answers), total_bytes, failed

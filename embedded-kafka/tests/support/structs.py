"""Raw requests as the Structs of aiokafka, in the offered versions: a reading of the protocol that is not ours."""

import asyncio
import contextlib
import struct
from io import BytesIO
from typing import Any, Self

from aiokafka.protocol.admin import (
    ApiVersionRequest_v0,
    CreateTopicsRequest_v3,
    DeleteGroupsRequest_v1,
    DeleteTopicsRequest_v3,
    DescribeConfigsRequest_v1,
    DescribeGroupsRequest_v0,
    ListGroupsRequest_v0,
)
from aiokafka.protocol.commit import OffsetCommitRequest_v3, OffsetFetchRequest_v3
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.group import (
    HeartbeatRequest_v1,
    JoinGroupRequest_v2,
    LeaveGroupRequest_v1,
    SyncGroupRequest_v1,
)
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v3
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import InitProducerIdRequest_v0
from aiokafka.record.memory_records import MemoryRecords

_HEADER = struct.Struct(">ihhi")
_ANSWER = struct.Struct(">ii")
_FETCHED_BYTES = 1024 * 1024
ANSWER_SECONDS = 15


REQUESTS: tuple[Any, ...] = (
    ProduceRequest_v7,
    FetchRequest_v11,
    OffsetRequest_v3,
    MetadataRequest_v5,
    OffsetCommitRequest_v3,
    OffsetFetchRequest_v3,
    FindCoordinatorRequest_v1,
    JoinGroupRequest_v2,
    HeartbeatRequest_v1,
    LeaveGroupRequest_v1,
    SyncGroupRequest_v1,
    DescribeGroupsRequest_v0,
    ListGroupsRequest_v0,
    ApiVersionRequest_v0,
    CreateTopicsRequest_v3,
    DeleteTopicsRequest_v3,
    InitProducerIdRequest_v0,
    DescribeConfigsRequest_v1,
    DeleteGroupsRequest_v1,
)


def framed(key: int, version: int, body: bytes, correlation_id: int = 1, client_id: bytes = b"\0\4test") -> bytes:
    """The client's id with its length before it."""
    size = _HEADER.size - 4 + len(client_id) + len(body)
    return _HEADER.pack(size, key, version, correlation_id) + client_id + body


def frame(request: Any, correlation_id: int = 1) -> bytes:
    return framed(request.API_KEY, request.API_VERSION, request.encode(), correlation_id)


def answer_to(request: Any, body: bytes) -> Any:
    """Nothing may be missing in it, and nothing be left over."""
    rest = BytesIO(body)
    answer = request.RESPONSE_TYPE.decode(rest)
    assert rest.read() == b"", f"{request} was answered with more than {answer}"
    return answer


def answers_in(received: bytes) -> list[tuple[int, bytes]]:
    """Correlation id and body of each answer; there may be no half one."""
    answers = []
    while received:
        size, correlation_id = _ANSWER.unpack_from(received)
        assert 4 <= size <= len(received) - 4, received[:100].hex()
        answers.append((correlation_id, received[_ANSWER.size : 4 + size]))
        received = received[4 + size :]
    return answers


class Connection:
    """One connection. `ask` is a question and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._asked = 0

    @classmethod
    async def connect(cls, bootstrap: str) -> Self:
        host, _, port = bootstrap.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=2**24))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self, request: Any, seconds: float = ANSWER_SECONDS) -> Any:
        return await self.answer(request, self.say(request), seconds)

    def say(self, request: Any) -> int:
        """Returns the request's correlation id."""
        self._asked += 1
        self.writer.write(frame(request, self._asked))
        return self._asked

    async def answer(self, request: Any, correlation_id: int, seconds: float = ANSWER_SECONDS) -> Any:
        """The next answer on the connection, which must be to that request."""
        async with asyncio.timeout(seconds):
            size, answered_id = _ANSWER.unpack(await self.reader.readexactly(_ANSWER.size))
            body = await self.reader.readexactly(size - 4)
        assert answered_id == correlation_id
        return answer_to(request, body)


class Peer(Connection):
    """What is asked over a connection so often that it has a name."""

    async def topics(self) -> dict[str, int]:
        """The number of partitions of each."""
        answer = await self.ask(MetadataRequest_v5(None, False))
        return {topic[1]: len(topic[3]) for topic in answer.topics}

    async def create_topic(self, name: str, partitions: int = 1, **configs: str) -> None:
        """A config's underscores stand for the dots of its name."""
        settings = [(key.replace("_", "."), value) for key, value in configs.items()]
        answer = await self.ask(CreateTopicsRequest_v3([(name, partitions, 1, [], settings)], 1000, False))
        assert answer.topic_errors[0][1] == 0, answer

    async def delete_topic(self, name: str) -> None:
        answer = await self.ask(DeleteTopicsRequest_v3([name], 1000))
        assert answer.topic_error_codes == [(name, 0)], answer

    async def produce(self, topic: str, partition: int, batch: bytes) -> tuple[int, int]:
        """Error code and offset."""
        answer = await self.ask(ProduceRequest_v7(None, -1, 1000, [(topic, [(partition, batch)])]))
        _, error_code, offset, _, _ = answer.topics[0][1][0]
        return error_code, offset

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> tuple[int, int]:
        """Error code and offset; the end offset for -1, the start for -2."""
        answer = await self.ask(OffsetRequest_v3(-1, 0, [(topic, [(partition, timestamp)])]))
        _, error_code, _, offset = answer.topics[0][1][0]
        return error_code, offset

    async def end_offset(self, topic: str, partition: int) -> int:
        error_code, offset = await self.offset_at(topic, partition, -1)
        assert error_code == 0
        return offset

    async def fetch(self, topic: str, partition: int, offset: int) -> bytes:
        """What is there, without waiting; the last batch may be cut off."""
        wanted = [(topic, [(partition, -1, offset, -1, _FETCHED_BYTES)])]
        answer = await self.ask(FetchRequest_v11(-1, 0, 1, _FETCHED_BYTES, 0, 0, -1, wanted, [], ""))
        _, error_code, _, _, _, _, _, batches = answer.topics[0][1][0]
        assert error_code == 0, answer
        return batches or b""

    async def records(self, topic: str, partition: int) -> dict[int, bytes]:
        """The values of a whole partition by their offsets, which have no gaps."""
        values: dict[int, bytes] = {}
        end = await self.end_offset(topic, partition)
        while len(values) < end:
            found = MemoryRecords(await self.fetch(topic, partition, len(values)))
            before = len(values)
            while (batch := found.next_batch()) is not None:
                assert batch.validate_crc()
                for record in batch:
                    if record.offset >= before:
                        assert record.offset == len(values)
                        values[record.offset] = bytes(record.value)
            assert len(values) > before, f"nothing is to be had from {topic} {partition} {before} on"
        return values

    async def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> list[int]:
        """By nobody who is a member; the error codes."""
        topics = [(topic, [(partition, offset, "")]) for (topic, partition), offset in offsets.items()]
        answer = await self.ask(OffsetCommitRequest_v3(group, -1, "", -1, topics))
        return [partition[1] for topic in answer.topics for partition in topic[1]]

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        answer = await self.ask(OffsetFetchRequest_v3(group, None))
        return {(topic, each[0]): each[1] for topic, partitions in answer.topics for each in partitions}

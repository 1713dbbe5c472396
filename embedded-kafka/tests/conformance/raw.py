"""A client that says exactly what a test wants said: aiokafka's protocol structures over a plain socket."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.admin import (
    ApiVersionRequest_v0,
    CreateTopicsRequest_v3,
    DeleteGroupsRequest_v1,
    DeleteTopicsRequest_v3,
    DescribeConfigsRequest_v1,
    DescribeGroupsRequest_v0,
)
from aiokafka.protocol.api import RequestStruct
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
from support.structs import ANSWER_SECONDS, Connection

EARLIEST, LATEST = -2, -1
TOPIC_RESOURCE = 2
ALL = -1
"""acks: all in-sync replicas have it."""


@dataclass(frozen=True)
class Produced:
    error: int
    offset: int


@dataclass(frozen=True)
class Fetched:
    error: int
    high_watermark: int
    log_start: int
    records: bytes


@dataclass(frozen=True)
class Joined:
    error: int
    generation: int
    protocol: str
    leader: str
    member: str
    members: dict[str, bytes]
    """Told to the leader alone."""


class RawClient(Connection):
    """One connection; the methods below put the usual questions in a few words."""

    def say_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def flush(self) -> None:
        """Gives the system what was said, as far as it takes it, and the broker a turn."""
        await self.writer.drain()
        await asyncio.sleep(0)

    async def is_closed_by_the_broker(self) -> bool:
        """True once it is, without another byte; fails if it isn't in time."""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    # Records

    async def produce(self, topic: str, *batches: bytes | None, partition: int = 0, acks: int = ALL) -> Produced:
        """Several batches stand one after the other in the same field. With acks=0 nobody may wait for the answer."""
        answer = await self.ask(produce_request(topic, *batches, partition=partition, acks=acks))
        [(answered_topic, [(answered_partition, error, offset, _, _)])] = answer.topics
        assert (answered_topic, answered_partition) == (topic, partition)
        return Produced(error, offset)

    async def fetch(self, topic: str, offset: int, **options: Any) -> Fetched:
        """Options are those of `fetch_request`."""
        [fetched] = (await self.fetch_all(topic, {0: offset}, **options)).values()
        return fetched

    async def fetch_all(self, topic: str, offsets: Mapping[int, int], **options: Any) -> dict[int, Fetched]:
        answer = await self.ask(fetch_request(topic, offsets, **options))
        return fetched_partitions(answer)

    async def list_offset(self, topic: str, timestamp: int, partition: int = 0) -> tuple[int, int, int]:
        """Error, offset and its timestamp. The timestamp may be EARLIEST or LATEST."""
        answer = await self.ask(OffsetRequest_v3(-1, 0, [(topic, [(partition, timestamp)])]))
        [(_, [(_, error, found_timestamp, offset)])] = answer.topics
        return error, offset, found_timestamp

    async def init_producer_id(self) -> tuple[int, int]:
        """A new producer's id and epoch."""
        answer = await self.ask(InitProducerIdRequest_v0(None, 60_000))
        assert answer.error_code == 0, answer
        return answer.producer_id, answer.producer_epoch

    # Topics

    async def create_topic(
        self, name: str, partitions: int = 1, configs: Mapping[str, str | None] | None = None, replication: int = 1
    ) -> int:
        topic: tuple[Any, ...] = (name, partitions, replication, [], list((configs or {}).items()))
        answer = await self.ask(CreateTopicsRequest_v3([topic], 10_000, False))
        [(_, error, _)] = answer.topic_errors
        return int(error)

    async def delete_topics(self, *names: str) -> dict[str, int]:
        """The error of each."""
        answer = await self.ask(DeleteTopicsRequest_v3(list(names), 10_000))
        return dict(answer.topic_error_codes)

    async def describe_configs(self, topic: str, names: Sequence[str] | None) -> tuple[int, dict[str, str]]:
        """Error and values. In version 1, the newest that librdkafka knows."""
        answer = await self.ask(DescribeConfigsRequest_v1([(TOPIC_RESOURCE, topic, names)], False))
        [(error, _, _, _, entries)] = answer.resources
        return error, {name: value for name, value, *_ in entries}

    async def topic_metadata(self, name: str) -> tuple[int, int]:
        """Error, and the number of partitions with a leader."""
        answer = await self.ask(MetadataRequest_v5([name], False))
        [(error, _, _, partitions)] = answer.topics
        return error, sum(1 for each in partitions if each[0] == 0 and each[2] >= 0)

    # Groups

    async def find_coordinator(self, group: str) -> int:
        return int((await self.ask(FindCoordinatorRequest_v1(group, 0))).error_code)

    async def join(self, group: str, member: str = "", **options: Any) -> Joined:
        """Options are those of `join_request`."""
        return joined_of(await self.ask(join_request(group, member, **options)))

    async def sync(
        self, group: str, generation: int, member: str, assignments: Mapping[str, bytes] | None = None
    ) -> tuple[int, bytes]:
        answer = await self.ask(sync_request(group, generation, member, assignments))
        return answer.error_code, answer.member_assignment

    async def heartbeat(self, group: str, generation: int, member: str) -> int:
        return int((await self.ask(HeartbeatRequest_v1(group, generation, member))).error_code)

    async def leave(self, group: str, member: str) -> int:
        return int((await self.ask(LeaveGroupRequest_v1(group, member))).error_code)

    async def commit(
        self,
        group: str,
        topic: str,
        offset: int,
        *,
        generation: int = -1,
        member: str = "",
        partition: int = 0,
        metadata: str | None = "",
    ) -> int:
        request = OffsetCommitRequest_v3(group, generation, member, -1, [(topic, [(partition, offset, metadata)])])
        [(_, [(_, error)])] = (await self.ask(request)).topics
        return int(error)

    async def committed(self, group: str, topics: Mapping[str, Sequence[int]] | None) -> dict[tuple[str, int], Any]:
        """Offset, metadata and error of each partition; without topics of all that have one."""
        asked = None if topics is None else [(topic, list(partitions)) for topic, partitions in topics.items()]
        answer = await self.ask(OffsetFetchRequest_v3(group, asked))
        assert answer.error_code == 0, answer
        return {(topic, each[0]): each[1:] for topic, partitions in answer.topics for each in partitions}

    async def describe_group(self, group: str) -> tuple[str, str, str, list[Any]]:
        """State, protocol type, protocol and members."""
        answer = await self.ask(DescribeGroupsRequest_v0([group]))
        [(error, _, state, protocol_type, protocol, members)] = answer.groups
        assert error == 0, answer
        return state, protocol_type, protocol, members

    async def delete_group(self, group: str) -> int:
        [(_, error)] = (await self.ask(DeleteGroupsRequest_v1([group]))).results
        return int(error)


def api_versions_request() -> RequestStruct:
    return ApiVersionRequest_v0()


def produce_request(topic: str, *batches: bytes | None, partition: int = 0, acks: int = ALL) -> RequestStruct:
    records = None if batches == (None,) else b"".join(each or b"" for each in batches)
    return ProduceRequest_v7(None, acks, 10_000, [(topic, [(partition, records)])])


def fetch_request(
    topic: str,
    offsets: Mapping[int, int],
    *,
    min_bytes: int = 1,
    max_wait_ms: int = 0,
    max_bytes: int = 2**23,
    partition_max_bytes: int = 2**23,
    session: tuple[int, int] = (0, -1),
) -> RequestStruct:
    """Without a fetch session, unless its id and epoch say otherwise (KIP-227)."""
    partitions = [(partition, -1, offset, -1, partition_max_bytes) for partition, offset in offsets.items()]
    return FetchRequest_v11(-1, max_wait_ms, min_bytes, max_bytes, 0, *session, [(topic, partitions)], [], "")


def fetched_partitions(answer: Any) -> dict[int, Fetched]:
    assert answer.error_code == 0, answer
    return {
        index: Fetched(error, high_watermark, log_start, records or b"")
        for _, partitions in answer.topics
        for index, error, high_watermark, _, log_start, _, _, records in partitions
    }


def join_request(
    group: str,
    member: str = "",
    *,
    session_ms: int = 10_000,
    rebalance_ms: int = 10_000,
    protocol_type: str = "consumer",
    protocols: Sequence[tuple[str, bytes]] = (("range", b""),),
) -> RequestStruct:
    """Version 2, in which a newcomer need not ask twice (KIP-394 is of version 4)."""
    return JoinGroupRequest_v2(group, session_ms, rebalance_ms, member, protocol_type, list(protocols))


def joined_of(answer: Any) -> Joined:
    return Joined(
        answer.error_code,
        answer.generation_id,
        answer.group_protocol,
        answer.leader_id,
        answer.member_id,
        dict(answer.members),
    )


def sync_request(
    group: str, generation: int, member: str, assignments: Mapping[str, bytes] | None = None
) -> RequestStruct:
    return SyncGroupRequest_v1(group, generation, member, list((assignments or {}).items()))

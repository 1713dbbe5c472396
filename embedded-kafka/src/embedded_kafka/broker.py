"""What each request does: one method for each API, over topics, groups and committed offsets."""

import asyncio
import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ErrorCode, KafkaError
from .fetch import fetch
from .files import read_json, replace_json
from .groups import Groups, State
from .log import PartitionLog
from .messages import (
    API_VERSIONS,
    APIS,
    Api,
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    CommittedPartition,
    CommittedTopic,
    ConfigEntry,
    CreatedTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeletedGroup,
    DeletedTopic,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    DescribedConfig,
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    FetchedOffset,
    FetchedOffsetsTopic,
    FetchRequest,
    FetchResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    ListedGroup,
    ListedOffset,
    ListedOffsetsTopic,
    ListGroupsRequest,
    ListGroupsResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    MetadataBroker,
    MetadataPartition,
    MetadataRequest,
    MetadataResponse,
    MetadataTopic,
    NewTopic,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    ProducedPartition,
    ProducedTopic,
    ProduceRequest,
    ProduceResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from .offsets import CommittedOffsets
from .records import check_produced
from .settings import TOPIC_DEFAULTS, BrokerSettings
from .topics import Topic, Topics, check_topic_name

logger = logging.getLogger(__name__)

NODE_ID = 1
_LATEST, _EARLIEST = -1, -2
_GROUP_COORDINATOR = 0
_TOPIC_RESOURCE, _BROKER_RESOURCE = 2, 4
_SET_ON_TOPIC, _DEFAULT = 1, 5
_MAX_METADATA_CHARACTERS = 4096
_NO_TRANSACTIONS = "There are no transactions in this broker."


class DataInUse(Exception):
    """Another broker works in this data folder."""


@dataclass(frozen=True)
class Caller:
    """The client at the other end of a connection, and the address at which it reached the broker."""

    host: str
    broker_host: str
    broker_port: int
    client_id: str = ""
    api_version: int = 0


class Broker:
    """Raises DataInUse, DamagedLog or OSError when its data folder can't be used."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(settings.data / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataInUse(f"Another broker works in {settings.data}.") from error
        self._identity_file = settings.data / "broker.json"
        self._identity = read_json(self._identity_file, {"cluster_id": uuid.uuid4().hex, "next_producer_id": 0})
        self._save_identity()
        self.topics = Topics(settings)
        self.offsets = CommittedOffsets(settings.data / "offsets.jsonl", fsync=settings.fsync)
        self.groups = Groups(settings)
        handlers: Mapping[type, Callable[[Any, Caller], Any]] = {
            ProduceRequest: self.produce,
            FetchRequest: self.fetch,
            ListOffsetsRequest: self.list_offsets,
            MetadataRequest: self.metadata,
            OffsetCommitRequest: self.commit_offsets,
            OffsetFetchRequest: self.fetch_offsets,
            FindCoordinatorRequest: self.find_coordinator,
            JoinGroupRequest: self.join_group,
            HeartbeatRequest: self.heartbeat,
            LeaveGroupRequest: self.leave_group,
            SyncGroupRequest: self.sync_group,
            DescribeGroupsRequest: self.describe_groups,
            ListGroupsRequest: self.list_groups,
            ApiVersionsRequest: self.api_versions,
            CreateTopicsRequest: self.create_topics,
            DeleteTopicsRequest: self.delete_topics,
            InitProducerIdRequest: self.init_producer_id,
            DescribeConfigsRequest: self.describe_configs,
            DeleteGroupsRequest: self.delete_groups,
        }
        self.handlers: Mapping[int, tuple[Api, Callable[[Any, Caller], Any]]] = {
            api.key: (api, handlers[api.request]) for api in APIS
        }

    def housekeep(self) -> None:
        self.topics.retain()
        self.groups.drop_empty()

    def close(self) -> None:
        self.groups.close()
        self.topics.close()
        self.offsets.close()
        os.close(self._lock)

    # Records

    def produce(self, request: ProduceRequest, caller: Caller) -> ProduceResponse | None:
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
                    topic, log = self.topics.partition(name, index)
                    header = check_produced(
                        records, max_bytes=topic.max_message_bytes, zstd_allowed=caller.api_version >= 7
                    )
                    offset = log.append(header, memoryview(records or b""), segment_bytes=topic.segment_bytes)
                    answered.append(ProducedPartition(index, ErrorCode.NONE, offset, -1, log.start_offset))
                except KafkaError as error:
                    failed = True
                    answered.append(ProducedPartition(index, error.code, -1, -1, -1))
            answers.append(ProducedTopic(name, answered))
        if request.acks == 0:
            if failed:
                raise ConnectionAbortedError("a batch was refused, and with acks=0 there is no other way to say so")
            return None
        return ProduceResponse(answers)

    def fetch(self, request: FetchRequest, caller: Caller) -> FetchResponse | asyncio.Future[FetchResponse]:
        return fetch(request, self.topics, self.settings.max_fetch_bytes)

    def list_offsets(self, request: ListOffsetsRequest, caller: Caller) -> ListOffsetsResponse:
        answers = []
        for name, partitions in request.topics:
            answered = []
            for index, timestamp in partitions:
                try:
                    offset, found_timestamp = _place(self.topics.partition(name, index)[1], timestamp)
                    answered.append(ListedOffset(index, ErrorCode.NONE, found_timestamp, offset))
                except KafkaError as error:
                    answered.append(ListedOffset(index, error.code, -1, -1))
            answers.append(ListedOffsetsTopic(name, answered))
        return ListOffsetsResponse(0, answers)

    def init_producer_id(self, request: InitProducerIdRequest, caller: Caller) -> InitProducerIdResponse:
        if request.transactional_id is not None:
            return InitProducerIdResponse(0, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, -1)
        producer_id = self._identity["next_producer_id"]
        self._identity["next_producer_id"] += 1
        self._save_identity()
        return InitProducerIdResponse(0, ErrorCode.NONE, producer_id, 0)

    # The broker and its topics

    def api_versions(self, request: ApiVersionsRequest, caller: Caller) -> ApiVersionsResponse:
        return ApiVersionsResponse(
            ErrorCode.NONE, [ApiVersion(api.key, api.min_version, api.max_version) for api in APIS]
        )

    def metadata(self, request: MetadataRequest, caller: Caller) -> MetadataResponse:
        """The broker's address is the one at which the client reached it."""
        if request.topics is None:
            topics = [_described(topic) for topic in self.topics]
        else:
            topics = [self._topic_metadata(name, request.allow_auto_topic_creation) for name in request.topics]
        broker = MetadataBroker(NODE_ID, caller.broker_host, caller.broker_port)
        return MetadataResponse(0, [broker], self._identity["cluster_id"], NODE_ID, topics)

    def _topic_metadata(self, name: str, may_create: bool) -> MetadataTopic:
        topic = self.topics.get(name)
        try:
            if topic is None:
                check_topic_name(name)
                if not may_create or not self.settings.auto_create_topics:
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                topic = self.topics.create(name, self.settings.default_partitions, {})
        except KafkaError as error:
            return MetadataTopic(error.code, name, False, [])
        return _described(topic)

    def create_topics(self, request: CreateTopicsRequest, caller: Caller) -> CreateTopicsResponse:
        names = [topic.name for topic in request.topics]
        answers = []
        for name in dict.fromkeys(names):
            topic = request.topics[names.index(name)]
            try:
                if names.count(name) > 1:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, f"Create topics request contains {name!r} twice.")
                configs = {config.name: config.value for config in topic.configs}
                create = self.topics.check_new if request.validate_only else self.topics.create
                create(name, self._partition_count(topic), configs)
                answers.append(CreatedTopic(name, ErrorCode.NONE, None))
            except KafkaError as error:
                answers.append(CreatedTopic(name, error.code, str(error)))
        return CreateTopicsResponse(0, answers)

    def _partition_count(self, topic: NewTopic) -> int:
        if topic.assignments:
            partitions = sorted(assignment.partition for assignment in topic.assignments)
            if topic.partition_count != -1 or topic.replication_factor != -1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Give either counts (then -1) or assignments, not both.")
            nowhere_else = all(assignment.broker_ids == [NODE_ID] for assignment in topic.assignments)
            if not nowhere_else or partitions != list(range(len(partitions))):
                raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"The only broker is {NODE_ID}.")
            return len(partitions)
        if topic.replication_factor not in (-1, 1):
            raise KafkaError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"Unable to replicate the partition {topic.replication_factor} time(s): there is 1 broker.",
            )
        return self.settings.default_partitions if topic.partition_count == -1 else topic.partition_count

    def delete_topics(self, request: DeleteTopicsRequest, caller: Caller) -> DeleteTopicsResponse:
        answers = []
        for name in request.names:
            try:
                self.topics.delete(name)
                self.offsets.forget_topic(name)
                answers.append(DeletedTopic(name, ErrorCode.NONE))
            except KafkaError as error:
                answers.append(DeletedTopic(name, error.code))
        return DeleteTopicsResponse(0, answers)

    def describe_configs(self, request: DescribeConfigsRequest, caller: Caller) -> DescribeConfigsResponse:
        answers = []
        for resource_type, name, keys in request.resources:
            topic = self.topics.get(name)
            if resource_type == _TOPIC_RESOURCE and topic is None:
                code, message, own = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic {name!r}.", None
            elif resource_type == _TOPIC_RESOURCE and topic:
                code, message, own = ErrorCode.NONE, None, topic.configs
            elif resource_type == _BROKER_RESOURCE and name in ("", str(NODE_ID)):
                code, message, own = ErrorCode.NONE, None, {}
            else:
                code, message, own = ErrorCode.INVALID_REQUEST, "Only topics and broker 1 have configs.", None
            entries = []
            for key, default in TOPIC_DEFAULTS.items() if own is not None else ():
                if keys is None or key in keys:
                    value, source = (own[key], _SET_ON_TOPIC) if own and key in own else (default, _DEFAULT)
                    entries.append(ConfigEntry(key, value, False, source, False, []))
            answers.append(DescribedConfig(code, message, resource_type, name, entries))
        return DescribeConfigsResponse(0, answers)

    # Groups

    def find_coordinator(self, request: FindCoordinatorRequest, caller: Caller) -> FindCoordinatorResponse:
        if request.key_type != _GROUP_COORDINATOR:
            code = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            return FindCoordinatorResponse(0, code, _NO_TRANSACTIONS, -1, "", -1)
        return FindCoordinatorResponse(0, ErrorCode.NONE, None, NODE_ID, caller.broker_host, caller.broker_port)

    def join_group(self, request: JoinGroupRequest, caller: Caller) -> asyncio.Future[JoinGroupResponse]:
        return self.groups.join(request, caller.client_id, caller.host)

    def sync_group(self, request: SyncGroupRequest, caller: Caller) -> asyncio.Future[SyncGroupResponse]:
        group = self.groups.known(request.group_id)
        return group.sync(request.generation_id, request.member_id, request.assignments)

    def heartbeat(self, request: HeartbeatRequest, caller: Caller) -> HeartbeatResponse:
        self.groups.known(request.group_id).heartbeat(request.generation_id, request.member_id)
        return HeartbeatResponse(0, ErrorCode.NONE)

    def leave_group(self, request: LeaveGroupRequest, caller: Caller) -> LeaveGroupResponse:
        self.groups.known(request.group_id).leave(request.member_id)
        return LeaveGroupResponse(0, ErrorCode.NONE)

    def commit_offsets(self, request: OffsetCommitRequest, caller: Caller) -> OffsetCommitResponse:
        wanted = [(topic.name, *partition) for topic in request.topics for partition in topic.partitions]
        codes = {}
        for name, index, offset, metadata in wanted:
            try:
                self.topics.partition(name, index)
                if offset < 0:
                    raise KafkaError(ErrorCode.INVALID_REQUEST)
                if len(metadata or "") > _MAX_METADATA_CHARACTERS:
                    raise KafkaError(ErrorCode.OFFSET_METADATA_TOO_LARGE)
                codes[name, index] = ErrorCode.NONE
            except KafkaError as error:
                codes[name, index] = error.code
        good = [(name, index, offset, metadata or "") for name, index, offset, metadata in wanted]
        good = [line for line in good if codes[line[0], line[1]] is ErrorCode.NONE]
        try:
            if not request.group_id:
                raise KafkaError(ErrorCode.INVALID_GROUP_ID)
            self.groups.check_commit(request.group_id, request.generation_id, request.member_id)
            self.offsets.commit(request.group_id, good)
        except KafkaError as error:
            codes = dict.fromkeys(codes, error.code)
        return OffsetCommitResponse(
            0,
            [
                CommittedTopic(name, [CommittedPartition(index, codes[name, index]) for index, _, _ in partitions])
                for name, partitions in request.topics
            ],
        )

    def fetch_offsets(self, request: OffsetFetchRequest, caller: Caller) -> OffsetFetchResponse:
        committed = self.offsets.of_group(request.group_id)
        asked: dict[str, list[int]] = {}
        if request.topics is None:
            for name, index in committed:
                asked.setdefault(name, []).append(index)
        else:
            asked = {topic.name: topic.partitions for topic in request.topics}
        answers = []
        for name, indexes in asked.items():
            found = [(index, *committed.get((name, index), (-1, ""))) for index in indexes]
            answers.append(FetchedOffsetsTopic(name, [FetchedOffset(*each, ErrorCode.NONE) for each in found]))
        return OffsetFetchResponse(0, answers)

    def describe_groups(self, request: DescribeGroupsRequest, caller: Caller) -> DescribeGroupsResponse:
        answers = []
        for group_id in request.group_ids:
            group = self.groups.get(group_id)
            state = State.EMPTY if self.offsets.of_group(group_id) else State.DEAD
            unknown = DescribedGroup(ErrorCode.NONE, group_id, state, "", "", [])
            answers.append(group.describe() if group else unknown)
        return DescribeGroupsResponse(0, answers)

    def list_groups(self, request: ListGroupsRequest, caller: Caller) -> ListGroupsResponse:
        types = dict.fromkeys(self.offsets.groups(), "") | {group.id: group.protocol_type for group in self.groups}
        return ListGroupsResponse(0, ErrorCode.NONE, [ListedGroup(*each) for each in types.items()])

    def delete_groups(self, request: DeleteGroupsRequest, caller: Caller) -> DeleteGroupsResponse:
        answers = []
        for group_id in request.group_ids:
            try:
                if not self.groups.get(group_id) and not self.offsets.of_group(group_id):
                    raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
                self.groups.delete(group_id)
                self.offsets.forget_group(group_id)
                answers.append(DeletedGroup(group_id, ErrorCode.NONE))
            except KafkaError as error:
                answers.append(DeletedGroup(group_id, error.code))
        return DeleteGroupsResponse(0, answers)

    def _save_identity(self) -> None:
        replace_json(self._identity_file, self._identity, fsync=self.settings.fsync)


def failure(request: Any, error: KafkaError) -> Any:
    """The response that tells a refusal, for the APIs whose response has one error for all."""
    if isinstance(request, JoinGroupRequest):
        return JoinGroupResponse(0, error.code, -1, "", "", request.member_id, [])
    if isinstance(request, SyncGroupRequest):
        return SyncGroupResponse(0, error.code, b"")
    if isinstance(request, HeartbeatRequest):
        return HeartbeatResponse(0, error.code)
    if isinstance(request, LeaveGroupRequest):
        return LeaveGroupResponse(0, error.code)
    raise TypeError(f"{type(request).__name__} answers its errors itself") from error


def unsupported_api_versions() -> ApiVersionsResponse:
    """KIP-511: a client that asks in a version we lack learns, in version 0, which we have."""
    api = API_VERSIONS
    return ApiVersionsResponse(ErrorCode.UNSUPPORTED_VERSION, [ApiVersion(api.key, api.min_version, api.max_version)])


def _place(log: PartitionLog, timestamp_ms: int) -> tuple[int, int]:
    if timestamp_ms == _LATEST:
        return log.end_offset, -1
    if timestamp_ms == _EARLIEST:
        return log.start_offset, -1
    return log.first_at_or_after(timestamp_ms) or (-1, -1)


def _described(topic: Topic) -> MetadataTopic:
    partitions = [
        MetadataPartition(ErrorCode.NONE, index, NODE_ID, [NODE_ID], [NODE_ID], [])
        for index in range(len(topic.partitions))
    ]
    return MetadataTopic(ErrorCode.NONE, topic.name, False, partitions)

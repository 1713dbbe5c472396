"""The requests and responses that the broker knows, and the one table of APIs and versions."""

import re
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from .wire import (
    Boolean,
    Bytes,
    Int8,
    Int16,
    Int32,
    Int64,
    NullableBytes,
    NullableString,
    Since,
    String,
)


class Api(NamedTuple):
    """One row of the table: an API, its versions, and its request in the newest form."""

    key: int
    name: str
    min_version: int
    max_version: int
    request: Any

    @property
    def method(self) -> str:
        """The broker's method that does it: `offset_commit` for OffsetCommit."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.name).lower()


Partition = TypeVar("Partition")


class Topic(NamedTuple, Generic[Partition]):
    name: String
    partitions: list[Partition]


class Deleted(NamedTuple):
    """A topic or a group."""

    name: String
    error_code: Int16


class ErrorResponse(NamedTuple):
    """To a heartbeat or a farewell."""

    throttle_time_ms: Annotated[Int32, Since(1)]
    error_code: Int16


# Records


class ProducePartition(NamedTuple):
    partition: Int32
    records: NullableBytes


class ProduceRequest(NamedTuple):
    transactional_id: NullableString
    acks: Int16
    timeout_ms: Int32
    topics: list[Topic[ProducePartition]]


class ProducedPartition(NamedTuple):
    partition: Int32
    error_code: Int16
    base_offset: Int64
    log_append_time_ms: Int64
    log_start_offset: Annotated[Int64, Since(5)]


class ProduceResponse(NamedTuple):
    topics: list[Topic[ProducedPartition]]
    throttle_time_ms: Int32 = 0


class FetchPartition(NamedTuple):
    partition: Int32
    current_leader_epoch: Annotated[Int32, Since(9, -1)]
    fetch_offset: Int64
    log_start_offset: Annotated[Int64, Since(5, -1)]
    max_bytes: Int32


class FetchRequest(NamedTuple):
    replica_id: Int32
    max_wait_ms: Int32
    min_bytes: Int32
    max_bytes: Int32
    isolation_level: Int8
    session_id: Annotated[Int32, Since(7, 0)]
    session_epoch: Annotated[Int32, Since(7, -1)]
    topics: list[Topic[FetchPartition]]
    forgotten_topics: Annotated[list[Topic[Int32]], Since(7, ())]
    rack_id: Annotated[String, Since(11, "")]


class AbortedTransaction(NamedTuple):
    producer_id: Int64
    first_offset: Int64


class FetchedPartition(NamedTuple):
    partition: Int32
    error_code: Int16
    high_watermark: Int64
    last_stable_offset: Int64
    log_start_offset: Annotated[Int64, Since(5)]
    aborted_transactions: list[AbortedTransaction] | None
    preferred_read_replica: Annotated[Int32, Since(11)]
    records: Bytes


class FetchResponse(NamedTuple):
    throttle_time_ms: Int32
    error_code: Annotated[Int16, Since(7)]
    session_id: Annotated[Int32, Since(7)]
    topics: list[Topic[FetchedPartition]]


class ListOffsetsPartition(NamedTuple):
    partition: Int32
    timestamp: Int64


class ListOffsetsRequest(NamedTuple):
    replica_id: Int32
    isolation_level: Annotated[Int8, Since(2, 0)]
    topics: list[Topic[ListOffsetsPartition]]


class ListedOffset(NamedTuple):
    partition: Int32
    error_code: Int16
    timestamp: Int64
    offset: Int64


class ListOffsetsResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(2)]
    topics: list[Topic[ListedOffset]]


class InitProducerIdRequest(NamedTuple):
    transactional_id: NullableString
    transaction_timeout_ms: Int32


class InitProducerIdResponse(NamedTuple):
    throttle_time_ms: Int32
    error_code: Int16
    producer_id: Int64
    producer_epoch: Int16


# The broker and its topics


class ApiVersionsRequest(NamedTuple):
    pass


class ApiVersion(NamedTuple):
    api_key: Int16
    min_version: Int16
    max_version: Int16


class ApiVersionsResponse(NamedTuple):
    error_code: Int16
    api_keys: list[ApiVersion]
    throttle_time_ms: Annotated[Int32, Since(1)] = 0


class MetadataRequest(NamedTuple):
    topics: list[String] | None
    allow_auto_topic_creation: Annotated[Boolean, Since(4, True)]


class MetadataBroker(NamedTuple):
    node_id: Int32
    host: String
    port: Int32
    rack: NullableString = None


class MetadataPartition(NamedTuple):
    error_code: Int16
    partition: Int32
    leader_id: Int32
    replicas: list[Int32]
    in_sync_replicas: list[Int32]
    offline_replicas: Annotated[list[Int32], Since(5)]


class MetadataTopic(NamedTuple):
    error_code: Int16
    name: String
    is_internal: Boolean
    partitions: list[MetadataPartition]


class MetadataResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(3)]
    brokers: list[MetadataBroker]
    cluster_id: Annotated[NullableString, Since(2)]
    controller_id: Int32
    topics: list[MetadataTopic]


class ReplicaAssignment(NamedTuple):
    partition: Int32
    broker_ids: list[Int32]


class TopicConfig(NamedTuple):
    name: String
    value: NullableString


class NewTopic(NamedTuple):
    name: String
    partition_count: Int32
    replication_factor: Int16
    assignments: list[ReplicaAssignment]
    configs: list[TopicConfig]


class CreateTopicsRequest(NamedTuple):
    topics: list[NewTopic]
    timeout_ms: Int32
    validate_only: Annotated[Boolean, Since(1, False)]


class CreatedTopic(NamedTuple):
    name: String
    error_code: Int16
    error_message: Annotated[NullableString, Since(1)]


class CreateTopicsResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(2)]
    topics: list[CreatedTopic]


class DeleteTopicsRequest(NamedTuple):
    names: list[String]
    timeout_ms: Int32


class DeleteTopicsResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(1)]
    topics: list[Deleted]


class ConfigResource(NamedTuple):
    resource_type: Int8
    name: String
    keys: list[String] | None


class DescribeConfigsRequest(NamedTuple):
    resources: list[ConfigResource]
    include_synonyms: Boolean


class ConfigSynonym(NamedTuple):
    name: String
    value: NullableString
    source: Int8


class ConfigEntry(NamedTuple):
    name: String
    value: NullableString
    read_only: Boolean
    source: Int8
    is_sensitive: Boolean
    synonyms: list[ConfigSynonym]


class DescribedConfig(NamedTuple):
    error_code: Int16
    error_message: NullableString
    resource_type: Int8
    name: String
    entries: list[ConfigEntry]


class DescribeConfigsResponse(NamedTuple):
    throttle_time_ms: Int32
    resources: list[DescribedConfig]


# Groups


class FindCoordinatorRequest(NamedTuple):
    key: String
    key_type: Annotated[Int8, Since(1, 0)]


class FindCoordinatorResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(1)]
    error_code: Int16
    error_message: Annotated[NullableString, Since(1)]
    node_id: Int32
    host: String
    port: Int32


class GroupProtocol(NamedTuple):
    name: String
    metadata: Bytes


class JoinGroupRequest(NamedTuple):
    group_id: String
    session_timeout_ms: Int32
    rebalance_timeout_ms: Annotated[Int32, Since(1, -1)]
    member_id: String
    protocol_type: String
    protocols: list[GroupProtocol]


class JoinedMember(NamedTuple):
    member_id: String
    metadata: Bytes


class JoinGroupResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(2)]
    error_code: Int16
    generation_id: Int32
    protocol_name: String
    leader: String
    member_id: String
    members: list[JoinedMember]


class MemberAssignment(NamedTuple):
    member_id: String
    assignment: Bytes


class SyncGroupRequest(NamedTuple):
    group_id: String
    generation_id: Int32
    member_id: String
    assignments: list[MemberAssignment]


class SyncGroupResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(1)]
    error_code: Int16
    assignment: Bytes


class HeartbeatRequest(NamedTuple):
    group_id: String
    generation_id: Int32
    member_id: String


class LeaveGroupRequest(NamedTuple):
    group_id: String
    member_id: String


class CommitPartition(NamedTuple):
    partition: Int32
    offset: Int64
    metadata: NullableString


class OffsetCommitRequest(NamedTuple):
    group_id: String
    generation_id: Int32
    member_id: String
    retention_time_ms: Int64
    topics: list[Topic[CommitPartition]]


class CommittedPartition(NamedTuple):
    partition: Int32
    error_code: Int16


class OffsetCommitResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(3)]
    topics: list[Topic[CommittedPartition]]


class OffsetFetchRequest(NamedTuple):
    group_id: String
    topics: list[Topic[Int32]] | None


class FetchedOffset(NamedTuple):
    partition: Int32
    offset: Int64
    metadata: NullableString
    error_code: Int16


class OffsetFetchResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(3)]
    topics: list[Topic[FetchedOffset]]
    error_code: Annotated[Int16, Since(2)] = 0


class DescribeGroupsRequest(NamedTuple):
    group_ids: list[String]


class DescribedMember(NamedTuple):
    member_id: String
    client_id: String
    client_host: String
    metadata: Bytes
    assignment: Bytes


class DescribedGroup(NamedTuple):
    error_code: Int16
    group_id: String
    state: String
    protocol_type: String
    protocol: String
    members: list[DescribedMember]


class DescribeGroupsResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(1)]
    groups: list[DescribedGroup]


class ListGroupsRequest(NamedTuple):
    pass


class ListedGroup(NamedTuple):
    group_id: String
    protocol_type: String


class ListGroupsResponse(NamedTuple):
    throttle_time_ms: Annotated[Int32, Since(1)]
    error_code: Int16
    groups: list[ListedGroup]


class DeleteGroupsRequest(NamedTuple):
    group_ids: list[String]


class DeleteGroupsResponse(NamedTuple):
    throttle_time_ms: Int32
    groups: list[Deleted]


API_VERSIONS = Api(18, "ApiVersions", 0, 2, ApiVersionsRequest)

# None of these versions is a "flexible" one (KIP-482): no tagged fields, no compact strings. Clients agree on less.
APIS = (
    Api(0, "Produce", 3, 7, ProduceRequest),
    Api(1, "Fetch", 4, 11, FetchRequest),
    Api(2, "ListOffsets", 1, 3, ListOffsetsRequest),
    Api(3, "Metadata", 1, 5, MetadataRequest),
    Api(8, "OffsetCommit", 2, 3, OffsetCommitRequest),
    Api(9, "OffsetFetch", 1, 3, OffsetFetchRequest),
    Api(10, "FindCoordinator", 0, 1, FindCoordinatorRequest),
    Api(11, "JoinGroup", 0, 2, JoinGroupRequest),
    Api(12, "Heartbeat", 0, 1, HeartbeatRequest),
    Api(13, "LeaveGroup", 0, 1, LeaveGroupRequest),
    Api(14, "SyncGroup", 0, 1, SyncGroupRequest),
    Api(15, "DescribeGroups", 0, 1, DescribeGroupsRequest),
    Api(16, "ListGroups", 0, 1, ListGroupsRequest),
    API_VERSIONS,
    Api(19, "CreateTopics", 0, 3, CreateTopicsRequest),
    Api(20, "DeleteTopics", 0, 3, DeleteTopicsRequest),
    Api(22, "InitProducerId", 0, 1, InitProducerIdRequest),
    Api(32, "DescribeConfigs", 1, 2, DescribeConfigsRequest),
    Api(42, "DeleteGroups", 0, 1, DeleteGroupsRequest),
)

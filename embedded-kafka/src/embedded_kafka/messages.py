"""The one table of the APIs: their version, and what their requests and responses look like.

Of each API one version is offered, which aiokafka, librdkafka and Java's clients (from KIP-896 on) have in common. None
is a "flexible" one (KIP-482): no tagged fields, no compact strings.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from .wire import Codec, schema


class Caller(NamedTuple):
    """The client at the other end of a connection, and the address at which it reached the broker."""

    host: str
    broker_host: str
    broker_port: int
    client_id: str | None = None


@dataclass(frozen=True)
class Api:
    """One row of the table."""

    key: int
    name: str
    version: int
    request: Codec
    response: Codec

    @property
    def method(self) -> str:
        """The broker's method that does it: `offset_commit` for OffsetCommit."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.name).lower()


# Key, name, version; the request -> the response.
_TABLE = """
0 Produce 7
    transactional_id:string? acks:int16 timeout_ms:int32
    topics:[name:string partitions:[partition:int32 records:bytes?]]
->  topics:[name:string partitions:[partition:int32 error_code:int16 base_offset:int64=-1 log_append_time_ms:int64=-1
    log_start_offset:int64=-1]] throttle_time_ms:int32

1 Fetch 11
    replica_id:int32 max_wait_ms:int32 min_bytes:int32 max_bytes:int32 isolation_level:int8 session_id:int32
    session_epoch:int32 topics:[name:string partitions:[partition:int32 current_leader_epoch:int32 fetch_offset:int64
    log_start_offset:int64 max_bytes:int32]] forgotten_topics:[name:string partitions:[int32]] rack_id:string
->  throttle_time_ms:int32 error_code:int16 session_id:int32 topics:[name:string partitions:[partition:int32
    error_code:int16 high_watermark:int64=-1 last_stable_offset:int64=-1 log_start_offset:int64=-1
    aborted_transactions:[producer_id:int64 first_offset:int64]? preferred_read_replica:int32=-1 records:bytes]]

2 ListOffsets 3
    replica_id:int32 isolation_level:int8 topics:[name:string partitions:[partition:int32 timestamp:int64]]
->  throttle_time_ms:int32
    topics:[name:string partitions:[partition:int32 error_code:int16 timestamp:int64=-1 offset:int64=-1]]

3 Metadata 5
    topics:[string]? allow_auto_topic_creation:bool
->  throttle_time_ms:int32 brokers:[node_id:int32 host:string port:int32 rack:string?] cluster_id:string?
    controller_id:int32 topics:[error_code:int16 name:string is_internal:bool partitions:[error_code:int16
    partition:int32 leader_id:int32 replicas:[int32] in_sync_replicas:[int32] offline_replicas:[int32]]]

8 OffsetCommit 3
    group_id:string generation_id:int32 member_id:string retention_time_ms:int64
    topics:[name:string partitions:[partition:int32 offset:int64 metadata:string?]]
->  throttle_time_ms:int32 topics:[name:string partitions:[partition:int32 error_code:int16]]

9 OffsetFetch 3
    group_id:string topics:[name:string partitions:[int32]]?
->  throttle_time_ms:int32 topics:[name:string partitions:[partition:int32 offset:int64=-1 metadata:string?
    error_code:int16]] error_code:int16

10 FindCoordinator 1
    key:string key_type:int8
->  throttle_time_ms:int32 error_code:int16 error_message:string? node_id:int32=-1 host:string port:int32=-1

11 JoinGroup 2
    group_id:string session_timeout_ms:int32 rebalance_timeout_ms:int32 member_id:string protocol_type:string
    protocols:[name:string metadata:bytes]
->  throttle_time_ms:int32 error_code:int16 generation_id:int32=-1 protocol_name:string leader:string member_id:string
    members:[member_id:string metadata:bytes]

12 Heartbeat 1
    group_id:string generation_id:int32 member_id:string
->  throttle_time_ms:int32 error_code:int16

13 LeaveGroup 1
    group_id:string member_id:string
->  throttle_time_ms:int32 error_code:int16

14 SyncGroup 1
    group_id:string generation_id:int32 member_id:string assignments:[member_id:string assignment:bytes]
->  throttle_time_ms:int32 error_code:int16 assignment:bytes

15 DescribeGroups 0
    group_ids:[string]
->  groups:[error_code:int16 group_id:string state:string protocol_type:string protocol:string
    members:[member_id:string client_id:string client_host:string metadata:bytes assignment:bytes]]

16 ListGroups 0
->  error_code:int16 groups:[group_id:string protocol_type:string]

18 ApiVersions 0
->  error_code:int16 api_keys:[api_key:int16 min_version:int16 max_version:int16]

19 CreateTopics 3
    topics:[name:string partition_count:int32 replication_factor:int16
    assignments:[partition:int32 broker_ids:[int32]] configs:[name:string value:string?]]
    timeout_ms:int32 validate_only:bool
->  throttle_time_ms:int32 topics:[name:string error_code:int16 error_message:string?]

20 DeleteTopics 3
    names:[string] timeout_ms:int32
->  throttle_time_ms:int32 topics:[name:string error_code:int16]

22 InitProducerId 0
    transactional_id:string? transaction_timeout_ms:int32
->  throttle_time_ms:int32 error_code:int16 producer_id:int64=-1 producer_epoch:int16=-1

32 DescribeConfigs 1
    resources:[resource_type:int8 name:string keys:[string]?] include_synonyms:bool
->  throttle_time_ms:int32 resources:[error_code:int16 error_message:string? resource_type:int8 name:string
    entries:[name:string value:string? read_only:bool source:int8 is_sensitive:bool
    synonyms:[name:string value:string? source:int8]]]

42 DeleteGroups 1
    group_ids:[string]
->  throttle_time_ms:int32 groups:[group_id:string error_code:int16]
"""


def _api(entry: str) -> Api:
    head, _, schemas = entry.partition("\n")
    key, name, version = head.split()
    request, response = schemas.split("->")
    return Api(int(key), name, int(version), schema(request), schema(response))


APIS = tuple(map(_api, _TABLE.strip().split("\n\n")))
API_VERSIONS = next(api for api in APIS if api.name == "ApiVersions")
# Request header v1, which the requests of all these versions have.
HEADER = schema("api_key:int16 version:int16 correlation_id:int32 client_id:string?")

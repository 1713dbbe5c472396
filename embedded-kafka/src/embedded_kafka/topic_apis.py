"""Requests about the broker and its topics: ApiVersions, Metadata, CreateTopics, DeleteTopics, DescribeConfigs."""

from collections import Counter

from . import messages
from .caller import Caller
from .errors import ErrorCode, KafkaError
from .identity import NODE_ID, Identity
from .offsets import CommittedOffsets
from .settings import TOPIC_DEFAULTS, BrokerSettings
from .topics import Topic, Topics, check_topic_name

_TOPIC_RESOURCE = 2
_SET_ON_TOPIC, _DEFAULT = 1, 5  # where a config's value comes from


class TopicApis:
    def __init__(self, topics: Topics, offsets: CommittedOffsets, identity: Identity, settings: BrokerSettings) -> None:
        self._topics, self._offsets, self._identity, self._settings = topics, offsets, identity, settings

    def api_versions(self, request: messages.ApiVersionsRequest, caller: Caller) -> messages.ApiVersionsResponse:
        return messages.ApiVersionsResponse(
            ErrorCode.NONE, [messages.ApiVersion(api.key, api.min_version, api.max_version) for api in messages.APIS]
        )

    def metadata(self, request: messages.MetadataRequest, caller: Caller) -> messages.MetadataResponse:
        """The broker's address is the one at which the client reached it."""
        if request.topics is None:
            topics = [_described(topic) for topic in self._topics]
        else:
            topics = [self._topic_metadata(name, request.allow_auto_topic_creation) for name in request.topics]
        broker = messages.MetadataBroker(NODE_ID, caller.broker_host, caller.broker_port)
        return messages.MetadataResponse(0, [broker], self._identity.cluster_id, NODE_ID, topics)

    def _topic_metadata(self, name: str, may_create: bool) -> messages.MetadataTopic:
        topic = self._topics.get(name)
        try:
            if topic is None:
                check_topic_name(name)
                if not may_create or not self._settings.auto_create_topics:
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                topic = self._topics.create(name, self._settings.default_partitions, {})
        except KafkaError as error:
            return messages.MetadataTopic(error.code, name, False, [])
        return _described(topic)

    def create_topics(self, request: messages.CreateTopicsRequest, caller: Caller) -> messages.CreateTopicsResponse:
        answers = []
        times_named = Counter(topic.name for topic in request.topics)
        for name, topic in {topic.name: topic for topic in request.topics}.items():
            try:
                if times_named[name] > 1:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, f"Create topics request contains {name!r} twice.")
                configs = {config.name: config.value for config in topic.configs}
                create = self._topics.check_new if request.validate_only else self._topics.create
                create(name, self._partition_count(topic), configs)
                answers.append(messages.CreatedTopic(name, ErrorCode.NONE, None))
            except KafkaError as error:
                answers.append(messages.CreatedTopic(name, error.code, str(error)))
        return messages.CreateTopicsResponse(0, answers)

    def _partition_count(self, topic: messages.NewTopic) -> int:
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
        return self._settings.default_partitions if topic.partition_count == -1 else topic.partition_count

    def delete_topics(self, request: messages.DeleteTopicsRequest, caller: Caller) -> messages.DeleteTopicsResponse:
        answers = []
        for name in request.names:
            try:
                self._topics.delete(name)
                self._offsets.forget_topic(name)
                answers.append(messages.Deleted(name, ErrorCode.NONE))
            except KafkaError as error:
                answers.append(messages.Deleted(name, error.code))
        return messages.DeleteTopicsResponse(0, answers)

    def describe_configs(
        self, request: messages.DescribeConfigsRequest, caller: Caller
    ) -> messages.DescribeConfigsResponse:
        answers = []
        for resource_type, name, keys in request.resources:
            topic = self._topics.get(name)
            code, message = ErrorCode.NONE, None
            if resource_type != _TOPIC_RESOURCE:
                code, message = ErrorCode.INVALID_REQUEST, "Only topics have configs here."
            elif topic is None:
                code, message = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic {name!r}."
            entries = [] if code or topic is None else _config_entries(topic, keys)
            answers.append(messages.DescribedConfig(code, message, resource_type, name, entries))
        return messages.DescribeConfigsResponse(0, answers)


def unsupported_api_versions() -> messages.ApiVersionsResponse:
    """KIP-511: a client that asks in a version we lack learns, in version 0, which we have."""
    api = messages.API_VERSIONS
    return messages.ApiVersionsResponse(
        ErrorCode.UNSUPPORTED_VERSION, [messages.ApiVersion(api.key, api.min_version, api.max_version)]
    )


def _described(topic: Topic) -> messages.MetadataTopic:
    partitions = [
        messages.MetadataPartition(ErrorCode.NONE, index, NODE_ID, [NODE_ID], [NODE_ID], [])
        for index in range(len(topic.partitions))
    ]
    return messages.MetadataTopic(ErrorCode.NONE, topic.name, False, partitions)


def _config_entries(topic: Topic, keys: list[str] | None) -> list[messages.ConfigEntry]:
    """All of them if no keys are given."""
    entries = []
    for key, default in TOPIC_DEFAULTS.items():
        if keys is None or key in keys:
            source = _SET_ON_TOPIC if key in topic.configs else _DEFAULT
            entries.append(messages.ConfigEntry(key, topic.configs.get(key, default), False, source, False, []))
    return entries

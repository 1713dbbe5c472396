"""Requests about the broker and its topics: ApiVersions, Metadata, CreateTopics, DeleteTopics, DescribeConfigs."""

from collections import Counter
from typing import Any

from .errors import ErrorCode, KafkaError, answered
from .identity import NODE_ID, Identity
from .messages import APIS, Caller
from .offsets import CommittedOffsets
from .settings import TOPIC_DEFAULTS
from .topics import Topics, check_topic_name

_TOPIC_RESOURCE = 2
_SET_ON_TOPIC, _DEFAULT = 1, 5  # where a config's value comes from


class TopicApis:
    def __init__(self, topics: Topics, offsets: CommittedOffsets, identity: Identity) -> None:
        self._topics, self._offsets, self._identity = topics, offsets, identity

    def api_versions(self, request: Any, caller: Caller) -> dict[str, Any]:
        return api_versions()

    def metadata(self, request: Any, caller: Caller) -> dict[str, Any]:
        """The broker's address is the one at which the client reached it."""
        names = [topic.name for topic in self._topics] if request.topics is None else request.topics
        return {
            "brokers": [{"node_id": NODE_ID, "host": caller.broker_host, "port": caller.broker_port}],
            "cluster_id": self._identity.cluster_id,
            "controller_id": NODE_ID,
            "topics": [answered({"name": name}, self._partitions, name) for name in dict.fromkeys(names)],
        }

    def _partitions(self, name: str) -> dict[str, Any]:
        check_topic_name(name)
        count = len(self._topics.known(name).partitions)
        here = {"leader_id": NODE_ID, "replicas": [NODE_ID], "in_sync_replicas": [NODE_ID]}
        return {"partitions": [{"partition": index, **here} for index in range(count)]}

    def create_topics(self, request: Any, caller: Caller) -> dict[str, Any]:
        times_named = Counter(topic.name for topic in request.topics)

        def create(topic: Any) -> None:
            if times_named[topic.name] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"Create topics request contains {topic.name!r} twice.")
            create_or_check = self._topics.check_new if request.validate_only else self._topics.create
            create_or_check(topic.name, _partition_count(topic), dict(topic.configs))

        named = {topic.name: topic for topic in request.topics}
        return {"topics": [answered({"name": name}, create, topic, tell_why=True) for name, topic in named.items()]}

    def delete_topics(self, request: Any, caller: Caller) -> dict[str, Any]:
        return {"topics": [answered({"name": name}, self._delete, name) for name in request.names]}

    def _delete(self, name: str) -> None:
        self._topics.delete(name)
        self._offsets.forget_topic(name)

    def describe_configs(self, request: Any, caller: Caller) -> dict[str, Any]:
        answers = []
        for kind, name, keys in {resource[:2]: resource for resource in request.resources}.values():
            known = {"resource_type": kind, "name": name, "error_message": ""}
            answers.append(answered(known, self._configs, kind, name, keys, tell_why=True))
        return {"resources": answers}

    def _configs(self, kind: int, name: str, keys: list[str] | None) -> dict[str, Any]:
        """All of them if no keys are given."""
        if kind != _TOPIC_RESOURCE:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Only topics have configs here.")
        check_topic_name(name)
        own = self._topics.known(name).configs
        entries = [
            {"name": key, "value": own.get(key, default), "source": _SET_ON_TOPIC if key in own else _DEFAULT}
            for key, default in TOPIC_DEFAULTS.items()
            if not keys or key in keys
        ]
        return {"entries": entries}


def api_versions() -> dict[str, Any]:
    keys = [{"api_key": api.key, "min_version": api.version, "max_version": api.version} for api in APIS]
    return {"api_keys": keys}


def _partition_count(topic: Any) -> int:
    if topic.assignments:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "There is 1 broker: give a count of partitions.")
    if topic.replication_factor not in (-1, 1):
        why = f"Unable to replicate the partition {topic.replication_factor} time(s): there is 1 broker."
        raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, why)
    return 1 if topic.partition_count == -1 else int(topic.partition_count)

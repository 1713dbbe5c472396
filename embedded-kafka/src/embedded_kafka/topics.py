"""The topics: their names, configs and partitions, kept in `topics.json`."""

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .errors import ErrorCode, KafkaError
from .files import read_json, replace_json
from .log import PartitionLog
from .settings import TOPIC_DEFAULTS, BrokerSettings, check_topic_config

_FILE = "topics.json"
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class StoredTopic(TypedDict):
    partitions: int
    configs: dict[str, str]


@dataclass(eq=False)
class Topic:
    name: str
    configs: dict[str, str]
    partitions: list[PartitionLog]

    def __post_init__(self) -> None:
        self.max_message_bytes = self._number("max.message.bytes")
        self.segment_bytes = self._number("segment.bytes")
        self.retention_ms = self._number("retention.ms")
        self.retention_bytes = self._number("retention.bytes")

    def _number(self, config: str) -> int:
        return int(self.configs.get(config, TOPIC_DEFAULTS[config]))


class Topics:
    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._topics: dict[str, Topic] = {}
        for name, stored in stored_topics(settings.data).items():
            self._topics[name] = Topic(name, stored["configs"], self._open(name, stored["partitions"]))

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def known(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic {name!r}.")
        return topic

    def has(self, name: str, index: int) -> bool:
        return name in self._topics and 0 <= index < len(self._topics[name].partitions)

    def partition(self, name: str, index: int) -> tuple[Topic, PartitionLog]:
        if not self.has(name, index):
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return self._topics[name], self._topics[name].partitions[index]

    def create(self, name: str, partition_count: int, configs: Mapping[str, str | None]) -> Topic:
        self.check_new(name, partition_count, configs)
        self._remove_files(name)  # what a crash in the middle of a deletion may have left
        given = {config: value for config, value in configs.items() if value is not None}
        topic = Topic(name, given, self._open(name, partition_count))
        self._save([*self, topic])
        self._topics[name] = topic
        return topic

    def check_new(self, name: str, partition_count: int, configs: Mapping[str, str | None]) -> None:
        check_topic_name(name)
        if name in self._topics:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if twin := next((topic.name for topic in self if topic.name.replace(".", "_") == name.replace(".", "_")), None):
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with '{twin}' in metrics.")
        if partition_count < 1:
            raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions must be larger than 0.")
        if partition_count + sum(len(topic.partitions) for topic in self) > self._settings.max_partitions:
            raise KafkaError(ErrorCode.POLICY_VIOLATION, f"There may be {self._settings.max_partitions} partitions.")
        for config, value in configs.items():
            check_topic_config(config, value)

    def delete(self, name: str) -> Topic:
        topic = self.known(name)
        self._save([other for other in self if other is not topic])
        del self._topics[name]
        for log in topic.partitions:
            log.close()
        self._remove_files(name)
        return topic

    def retain(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for topic in self:
            for log in topic.partitions:
                log.retain(now_ms, retention_ms=topic.retention_ms, retention_bytes=topic.retention_bytes)

    def close(self) -> None:
        for topic in self:
            for log in topic.partitions:
                log.close()

    def _open(self, name: str, partition_count: int) -> list[PartitionLog]:
        fsync = self._settings.fsync
        folders = [partition_folder(self._settings.data, name, index) for index in range(partition_count)]
        return [PartitionLog(folder, fsync=fsync) for folder in folders]

    def _remove_files(self, name: str) -> None:
        for folder in partition_folder(self._settings.data, name, 0).parent.glob(f"{name}-*"):
            if folder.name.removeprefix(f"{name}-").isdigit():
                shutil.rmtree(folder)

    def _save(self, topics: Iterable[Topic]) -> None:
        """Before a topic is told to anybody: what is written into it must not be lost with it."""
        stored = {topic.name: StoredTopic(partitions=len(topic.partitions), configs=topic.configs) for topic in topics}
        replace_json(self._settings.data / _FILE, stored, fsync=self._settings.fsync)


def stored_topics(data: Path) -> dict[str, StoredTopic]:
    stored: dict[str, StoredTopic] = read_json(data / _FILE, {})
    return stored


def partition_folder(data: Path, name: str, index: int) -> Path:
    return data / "topics" / f"{name}-{index}"


def check_topic_name(name: str) -> None:
    if not _LEGAL_NAME.fullmatch(name) or name in (".", ".."):
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic name {name!r} is illegal: it must be 1 to 249 of ASCII letters, digits, '.', '_' and '-'.",
        )

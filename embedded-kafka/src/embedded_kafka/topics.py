"""The topics: their names, configs and partitions, kept in `topics.json`."""

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import ErrorCode, KafkaError
from .files import read_json, replace_json
from .log import PartitionLog
from .settings import TOPIC_DEFAULTS, BrokerSettings, check_topic_config

_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


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
        self._folder = settings.data / "topics"
        self._file = settings.data / "topics.json"
        self._topics: dict[str, Topic] = {}
        for name, stored in read_json(self._file, {}).items():
            self._topics[name] = Topic(name, stored["configs"], self._open(name, stored["partitions"]))

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def get(self, name: str) -> Topic | None:
        return self._topics.get(name)

    def partition(self, name: str, index: int) -> tuple[Topic, PartitionLog]:
        topic = self._topics.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic, topic.partitions[index]

    def create(
        self, name: str, partition_count: int, configs: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        check_topic_name(name)
        if name in self._topics:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if partition_count < 1:
            raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions must be larger than 0.")
        if partition_count + sum(len(topic.partitions) for topic in self) > self._settings.max_partitions:
            raise KafkaError(ErrorCode.POLICY_VIOLATION, f"There may be {self._settings.max_partitions} partitions.")
        checked = {config: check_topic_config(config, value) for config, value in configs.items()}
        if validate_only:
            return
        self._remove_files(name)  # what a crash in the middle of a deletion may have left
        self._topics[name] = Topic(name, checked, self._open(name, partition_count))
        self._save()

    def delete(self, name: str) -> Topic:
        topic = self._topics.pop(name, None)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self._save()
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
        return [PartitionLog(self._folder / f"{name}-{index}", fsync=fsync) for index in range(partition_count)]

    def _remove_files(self, name: str) -> None:
        for folder in self._folder.glob(f"{name}-*"):
            if folder.name.removeprefix(f"{name}-").isdigit():
                shutil.rmtree(folder)

    def _save(self) -> None:
        stored = {topic.name: {"partitions": len(topic.partitions), "configs": topic.configs} for topic in self}
        replace_json(self._file, stored, fsync=self._settings.fsync)


def check_topic_name(name: str) -> None:
    if not _LEGAL_NAME.fullmatch(name) or name in (".", ".."):
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic name {name!r} is illegal: it must be 1 to 249 of ASCII letters, digits, '.', '_' and '-'.",
        )

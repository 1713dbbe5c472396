"""Topics through the admin client: refused with sentences, and kept over a restart."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from support.clients import Clients

from embedded_kafka import EmbeddedKafka
from embedded_kafka.errors import ErrorCode


async def create(admin: AIOKafkaAdminClient, *topics: NewTopic, validate_only: bool = False) -> list[Any]:
    """Name, error code and message of each."""
    answer = await admin.create_topics(list(topics), validate_only=validate_only)
    return [tuple(error) for error in answer.topic_errors]


@pytest.mark.parametrize(
    ("topic", "code", "message"),
    [
        (NewTopic("taken", 1, 1), ErrorCode.TOPIC_ALREADY_EXISTS, "already exists"),
        (NewTopic("no/slash", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION, "illegal"),
        (NewTopic("..", 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION, "illegal"),
        (NewTopic("x" * 250, 1, 1), ErrorCode.INVALID_TOPIC_EXCEPTION, "illegal"),
        (NewTopic("t", 0, 1), ErrorCode.INVALID_PARTITIONS, "larger than 0"),
        (NewTopic("t", 100_000, 1), ErrorCode.POLICY_VIOLATION, "400"),
        (NewTopic("t", 1, 3), ErrorCode.INVALID_REPLICATION_FACTOR, "1 broker"),
        (NewTopic("t", -1, -1, {0: [1], 1: [1]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "1 broker"),
        (NewTopic("t", 1, 1, topic_configs={"cleanup.policy": "compact"}), ErrorCode.INVALID_CONFIG, "cleanup.policy"),
        (NewTopic("t", 1, 1, topic_configs={"no.such": "1"}), ErrorCode.INVALID_CONFIG, "Unknown topic config"),
        (NewTopic("t", 1, 1, topic_configs={"retention.ms": "soon"}), ErrorCode.INVALID_CONFIG, "from -1 to"),
        (NewTopic("t", 1, 1, topic_configs={"segment.bytes": "0"}), ErrorCode.INVALID_CONFIG, "from 14 to"),
    ],
    ids=lambda value: value.name if isinstance(value, ErrorCode) else "",
)
async def test_what_cannot_be_is_refused(clients: Clients, topic: NewTopic, code: ErrorCode, message: str) -> None:
    admin = await clients.admin()
    await create(admin, NewTopic("taken", 1, 1))

    [(name, given, text)] = await create(admin, topic)

    assert (name, given) == (topic.name, code)
    assert message in text
    assert await admin.list_topics() == ["taken"]


async def test_topics_with_their_configs_survive_a_restart(
    tmp_path: Path, connect: Callable[[str], Awaitable[Clients]]
) -> None:
    async with EmbeddedKafka(tmp_path) as kafka:
        clients = await connect(kafka.bootstrap)
        await clients.create_topic("t", partitions=2, retention_bytes="12345")
        cluster_id = (await (await clients.admin()).describe_cluster())["cluster_id"]
        await clients.stop()

    async with EmbeddedKafka(tmp_path) as kafka:
        clients = await connect(kafka.bootstrap)
        admin = await clients.admin()
        [topic] = await admin.describe_topics()
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "t")])
        assert (topic["topic"], len(topic["partitions"])) == ("t", 2)
        assert ("retention.bytes", "12345") in [entry[:2] for entry in response.resources[0][4]]
        assert (await admin.describe_cluster())["cluster_id"] == cluster_id
        await clients.stop()

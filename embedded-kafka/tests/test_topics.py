"""Topics through the admin client: made, described, refused with Kafka's errors, deleted, and kept over a restart."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from support.clients import Clients
from support.waiting import take

from embedded_kafka import EmbeddedKafka
from embedded_kafka.errors import ErrorCode


async def create(admin: AIOKafkaAdminClient, *topics: NewTopic, validate_only: bool = False) -> list[Any]:
    """Name, error code and message of each."""
    answer = await admin.create_topics(list(topics), validate_only=validate_only)
    return [tuple(error) for error in answer.topic_errors]


async def test_a_topic_is_described_as_it_was_made(clients: Clients) -> None:
    admin = await clients.admin()

    assert await create(admin, NewTopic("a", 3, 1), NewTopic("b", 1, 1)) == [("a", 0, None), ("b", 0, None)]
    a, b = sorted(await admin.describe_topics(), key=lambda topic: str(topic["topic"]))
    cluster = await admin.describe_cluster()

    assert [partition["partition"] for partition in a["partitions"]] == [0, 1, 2]
    assert all((p["leader"], p["replicas"], p["isr"]) == (1, [1], [1]) for p in a["partitions"])
    assert (len(b["partitions"]), await admin.list_topics()) == (1, ["a", "b"])
    assert [(each["host"], each["port"]) for each in cluster["brokers"]] == [
        ("127.0.0.1", int(clients.bootstrap.split(":")[1]))
    ]


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


async def test_validating_makes_nothing(clients: Clients) -> None:
    admin = await clients.admin()

    assert await create(admin, NewTopic("t", 1, 1), validate_only=True) == [("t", 0, None)]
    assert await admin.list_topics() == []


async def test_the_same_name_twice_in_a_request_is_refused(clients: Clients) -> None:
    admin = await clients.admin()

    [(_, code, _)] = await create(admin, NewTopic("t", 1, 1), NewTopic("t", 2, 1))

    assert code == ErrorCode.INVALID_REQUEST
    assert await admin.list_topics() == []


async def test_a_deleted_topic_is_gone_with_its_records_and_may_be_made_anew(clients: Clients) -> None:
    admin = await clients.admin()
    await clients.create_topic("t")
    await clients.create_topic("t-1")
    producer = await clients.producer()
    await producer.send_and_wait("t", b"old")
    await producer.send_and_wait("t-1", b"another topic whose name begins alike")

    answer = await admin.delete_topics(["t", "unknown"])
    await clients.create_topic("t")
    await producer.send_and_wait("t", b"new")
    records = await take(await clients.consumer("t", "t-1"), 2)

    assert [tuple(error) for error in answer.topic_error_codes] == [
        ("t", 0),
        ("unknown", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ]
    assert sorted(record.value or b"" for record in records) == [b"another topic whose name begins alike", b"new"]


async def test_configs_are_told_with_where_they_come_from(clients: Clients) -> None:
    await clients.create_topic("t", retention_ms="1000")
    admin = await clients.admin()

    [response] = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, "t"), ConfigResource(ConfigResourceType.TOPIC, "unknown")]
    )
    [asked] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "t", {"segment.bytes": None})])

    everything, unknown = response.resources
    [one] = asked.resources
    values = {entry[0]: (entry[1], entry[3]) for entry in everything[4]}
    assert values["retention.ms"] == ("1000", 1)
    assert values["cleanup.policy"] == ("delete", 5)
    assert [entry[0] for entry in one[4]] == ["segment.bytes"]
    assert unknown[0] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


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

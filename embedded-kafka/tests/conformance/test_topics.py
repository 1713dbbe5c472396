"""Topics: creating, describing and deleting them, and what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.protocol.admin import CreateTopicsRequest_v3
from aiokafka.protocol.metadata import MetadataRequest_v5
from support.waiting import until

from .client import Client, Config, Refused
from .conftest import NewTopic
from .names import (
    INVALID_CONFIG,
    INVALID_PARTITIONS,
    INVALID_REPLICATION_FACTOR,
    INVALID_REQUEST,
    INVALID_TOPIC_EXCEPTION,
    NONE,
    TOPIC_ALREADY_EXISTS,
    UNKNOWN_TOPIC_OR_PARTITION,
    fresh_name,
)
from .raw import RawClient
from .records import Record, batch


class TestCreating:
    async def test_a_topic_has_the_partitions_and_configs_that_were_asked_for(
        self, client: Client, other: Client, raw: RawClient
    ) -> None:
        name = fresh_name("topic")

        await client.create_topic(name, 3, configs={"retention.ms": "12345000", "max.message.bytes": "54321"})

        async def is_known() -> bool:
            return (await other.partitions()).get(name) == 3

        await until(is_known)
        configs = await other.configs(name)
        assert configs["retention.ms"] == Config("12345000", is_the_topics=True)
        assert configs["max.message.bytes"] == Config("54321", is_the_topics=True)
        await raw.delete_topics(name)

    async def test_configs_that_were_not_asked_for_have_kafkas_defaults(self, client: Client, topic: str) -> None:
        configs = await client.configs(topic)

        defaults = {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "max.message.bytes": "1048588",
            "message.timestamp.type": "CreateTime",
            "min.insync.replicas": "1",
            "retention.bytes": "-1",
        }
        assert {name: configs[name] for name in defaults} == {
            name: Config(value, is_the_topics=False) for name, value in defaults.items()
        }

    async def test_a_name_can_be_taken_once(self, client: Client, other: Client, topic: str) -> None:
        with pytest.raises(Refused) as refused:
            await client.create_topic(topic, 5)

        assert refused.value.code == TOPIC_ALREADY_EXISTS
        assert (await other.partitions())[topic] == 1

    @pytest.mark.parametrize("name", ["", ".", "..", "with space", "größe", "a/b", "a" * 250])
    async def test_a_bad_name_is_refused(self, client: Client, name: str) -> None:
        with pytest.raises(Refused) as refused:
            await client.create_topic(name)

        assert refused.value.code == INVALID_TOPIC_EXCEPTION

    async def test_a_name_may_be_long(self, raw: RawClient) -> None:
        name = fresh_name("topic").ljust(249, "x")

        assert await raw.create_topic(name) == NONE
        assert await raw.delete_topics(name) == {name: NONE}

    async def test_names_must_differ_by_more_than_dots_and_underscores(self, raw: RawClient) -> None:
        """Kafka's metrics could not tell them apart."""
        name = fresh_name("topic")
        assert await raw.create_topic(f"{name}.a_b") == NONE

        assert await raw.create_topic(f"{name}_a.b") == INVALID_TOPIC_EXCEPTION

        await raw.delete_topics(f"{name}.a_b")

    @pytest.mark.parametrize("partitions", [0, -2])
    async def test_a_topic_needs_a_partition(self, raw: RawClient, partitions: int) -> None:
        assert await raw.create_topic(fresh_name("topic"), partitions) == INVALID_PARTITIONS

    @pytest.mark.parametrize("replication", [0, 30])
    async def test_there_must_be_brokers_for_all_replicas(
        self, client: Client, raw: RawClient, replication: int
    ) -> None:
        """Thirty rather than two: the broker may be one of several."""
        name = fresh_name("topic")

        assert await raw.create_topic(name, replication=replication) == INVALID_REPLICATION_FACTOR

        assert name not in await client.partitions()

    @pytest.mark.parametrize(
        "configs",
        [
            {"no.such.config": "1"},
            {"retention.ms": "soon"},
            {"retention.ms": "-2"},
            {"max.message.bytes": "-1"},
            {"max.message.bytes": str(2**31)},
            {"segment.bytes": "13"},
            {"segment.bytes": str(2**31)},
            {"retention.bytes": str(2**63)},
            {"cleanup.policy": "keep"},
            {"compression.type": "rar"},
        ],
        ids=str,
    )
    async def test_a_config_that_cannot_be_is_refused(
        self, client: Client, raw: RawClient, configs: Mapping[str, str]
    ) -> None:
        name = fresh_name("topic")

        with pytest.raises(Refused) as refused:
            await client.create_topic(name, configs=configs)

        assert refused.value.code == INVALID_CONFIG
        assert (await raw.topic_metadata(name))[0] == UNKNOWN_TOPIC_OR_PARTITION

    @pytest.mark.parametrize(
        "configs",
        [
            {"retention.ms": "-1", "retention.bytes": "-1"},
            {"retention.ms": "0"},
            {"segment.bytes": "1048576"},
            {"max.message.bytes": "0"},
            {"cleanup.policy": "delete", "compression.type": "producer", "message.timestamp.type": "CreateTime"},
        ],
        ids=str,
    )
    async def test_a_config_at_its_bound_is_taken(
        self, client: Client, raw: RawClient, configs: Mapping[str, str]
    ) -> None:
        name = fresh_name("topic")

        await client.create_topic(name, configs=configs)

        await raw.delete_topics(name)

    async def test_one_bad_topic_does_not_spoil_the_others(self, raw: RawClient) -> None:
        good, bad = fresh_name("topic"), fresh_name("topic")
        topics: list[Any] = [(good, 1, 1, [], []), (bad, 0, 1, [], [])]

        answer = await raw.ask(CreateTopicsRequest_v3(topics, 10_000, False))

        assert {name: error for name, error, _ in answer.topic_errors} == {good: NONE, bad: INVALID_PARTITIONS}
        assert await raw.delete_topics(good, bad) == {good: NONE, bad: UNKNOWN_TOPIC_OR_PARTITION}

    async def test_a_topic_that_is_named_twice_is_refused(self, raw: RawClient) -> None:
        name = fresh_name("topic")

        answer = await raw.ask(CreateTopicsRequest_v3([(name, 1, 1, [], []), (name, 2, 1, [], [])], 10_000, False))

        assert [(name, error) for name, error, _ in answer.topic_errors] == [(name, INVALID_REQUEST)]
        assert (await raw.topic_metadata(name))[0] == UNKNOWN_TOPIC_OR_PARTITION

    async def test_the_broker_knows_how_many_partitions_if_the_client_does_not(self, raw: RawClient) -> None:
        name = fresh_name("topic")

        assert await raw.create_topic(name, -1, replication=-1) == NONE

        async def has_some() -> bool:
            return (await raw.topic_metadata(name))[1] >= 1

        await until(has_some)
        await raw.delete_topics(name)

    async def test_a_topic_can_be_tried_without_being_made(self, client: Client, raw: RawClient) -> None:
        name = fresh_name("topic")

        answer = await raw.ask(CreateTopicsRequest_v3([(name, 1, 1, [], [])], 10_000, True))

        assert [each[1] for each in answer.topic_errors] == [NONE]
        assert name not in await client.partitions()


class TestDescribing:
    async def test_an_unknown_topic_is_told(self, client: Client, raw: RawClient) -> None:
        name = fresh_name("topic")

        assert await raw.topic_metadata(name) == (UNKNOWN_TOPIC_OR_PARTITION, 0)
        assert name not in await client.partitions()

    async def test_a_bad_name_is_told(self, raw: RawClient) -> None:
        assert await raw.topic_metadata("with space") == (INVALID_TOPIC_EXCEPTION, 0)

    async def test_configs_may_be_asked_for_by_name(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic(retention_bytes="777")

        assert await raw.describe_configs(topic, ["retention.bytes", "no.such.config"]) == (
            NONE,
            {"retention.bytes": "777"},
        )

    @pytest.mark.parametrize("names", [None, []])
    async def test_no_names_are_all_configs(self, raw: RawClient, topic: str, names: list[str] | None) -> None:
        error, configs = await raw.describe_configs(topic, names)

        assert error == NONE
        assert {"cleanup.policy", "max.message.bytes", "retention.ms", "segment.bytes"} <= set(configs)

    async def test_a_bad_names_configs_are_refused(self, raw: RawClient) -> None:
        assert await raw.describe_configs("with space", None) == (INVALID_TOPIC_EXCEPTION, {})

    async def test_no_topics_are_no_topics(self, raw: RawClient, topic: str) -> None:
        """While null is all of them."""
        assert (await raw.ask(MetadataRequest_v5([], False))).topics == []
        assert topic in {name for _, name, *_ in (await raw.ask(MetadataRequest_v5(None, False))).topics}

    async def test_an_unknown_topics_configs_are_refused(self, client: Client) -> None:
        with pytest.raises(Refused) as refused:
            await client.configs(fresh_name("topic"))

        assert refused.value.code == UNKNOWN_TOPIC_OR_PARTITION


class TestDeleting:
    async def test_a_deleted_topic_is_gone(self, client: Client, other: Client, topic: str) -> None:
        await client.produce(topic, Record(b"a"), partition=0)

        await client.delete_topic(topic)

        async def is_gone() -> bool:
            return topic not in await other.partitions()

        await until(is_gone)

    async def test_an_unknown_topic_cannot_be_deleted(self, client: Client) -> None:
        with pytest.raises(Refused) as refused:
            await client.delete_topic(fresh_name("topic"))

        assert refused.value.code == UNKNOWN_TOPIC_OR_PARTITION

    async def test_a_topic_of_the_same_name_begins_anew(self, raw: RawClient, new_topic: NewTopic) -> None:
        topic = await new_topic()
        await raw.produce(topic, batch(b"old"))
        await raw.delete_topics(topic)

        async def is_gone() -> bool:
            return (await raw.topic_metadata(topic))[0] == UNKNOWN_TOPIC_OR_PARTITION

        await until(is_gone)
        assert await raw.create_topic(topic, 2) == NONE

        async def has_begun() -> bool:
            return (await raw.produce(topic, batch(b"new"), partition=0)).offset == 0

        await until(has_begun)
        assert (await raw.list_offset(topic, -1, 1))[1:] == (0, -1)

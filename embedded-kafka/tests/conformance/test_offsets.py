"""Offsets by time (ListOffsets), and committed ones (OffsetCommit, OffsetFetch)."""

import pytest
from support.waiting import until

from .client import Client
from .conftest import NewTopic
from .names import (
    ILLEGAL_GENERATION,
    NONE,
    OFFSET_METADATA_TOO_LARGE,
    UNKNOWN_MEMBER_ID,
    UNKNOWN_TOPIC_OR_PARTITION,
    UNSUPPORTED_VERSION,
    fresh_name,
)
from .raw import EARLIEST, LATEST, RawClient
from .records import CODECS, Record, batch


class TestListOffsets:
    async def test_an_empty_partition_begins_and_ends_at_zero(self, client: Client, topic: str) -> None:
        assert await client.beginning_offset(topic) == 0
        assert await client.end_offset(topic) == 0
        assert await client.offset_at(topic, 0) is None

    async def test_each_partition_has_its_own_end(self, client: Client, new_topic: NewTopic) -> None:
        topic = await new_topic(3)
        await client.produce(topic, Record(b"a"), Record(b"b"), partition=1)
        await client.produce(topic, Record(b"c"), partition=2)

        assert [await client.end_offset(topic, each) for each in range(3)] == [0, 2, 1]
        assert [await client.beginning_offset(topic, each) for each in range(3)] == [0, 0, 0]

    @pytest.mark.parametrize("codec", CODECS)
    async def test_a_time_leads_to_the_first_record_of_it_or_later(
        self, client: Client, raw: RawClient, topic: str, codec: str
    ) -> None:
        await raw.produce(topic, batch(b"a", b"b", b"c", timestamps=(1000, 2000, 3000), codec=codec))
        await raw.produce(topic, batch(b"d", b"e", b"f", timestamps=(4000, 5000, 6000), codec=codec))

        found = {each: await client.offset_at(topic, each) for each in (0, 1000, 1001, 2000, 3500, 5000, 5001, 6000)}

        assert found == {
            0: (0, 1000),
            1000: (0, 1000),
            1001: (1, 2000),
            2000: (1, 2000),
            3500: (3, 4000),
            5000: (4, 5000),
            5001: (5, 6000),
            6000: (5, 6000),
        }
        assert await client.offset_at(topic, 6001) is None

    @pytest.mark.parametrize("codec", CODECS)
    async def test_times_may_be_out_of_order(self, client: Client, raw: RawClient, topic: str, codec: str) -> None:
        await raw.produce(topic, batch(b"a", b"b", b"c", timestamps=(1000, 5000, 3000), codec=codec))
        await raw.produce(topic, batch(b"d", b"e", timestamps=(2000, 6000), codec=codec))

        found = [await client.offset_at(topic, each) for each in (2000, 4000, 5500)]

        assert found == [(1, 5000), (1, 5000), (4, 6000)]

    async def test_a_time_is_found_in_the_segment_that_has_it(
        self, client: Client, raw: RawClient, new_topic: NewTopic
    ) -> None:
        topic = await new_topic(segment_bytes=str(1024 * 1024))
        for number in range(6):
            await raw.produce(topic, batch(b"a", bytes(450_000), timestamps=(number * 100, number * 100 + 50)))

        found = [await client.offset_at(topic, each) for each in (0, 149, 151, 550)]

        assert found == [(0, 0), (3, 150), (4, 200), (11, 550)]

    async def test_a_raw_answer_has_the_time_only_for_a_time(self, raw: RawClient, topic: str) -> None:
        await raw.produce(topic, batch(b"a", timestamps=(1000,)))

        assert await raw.list_offset(topic, EARLIEST) == (NONE, 0, -1)
        assert await raw.list_offset(topic, LATEST) == (NONE, 1, -1)
        assert await raw.list_offset(topic, 1000) == (NONE, 0, 1000)
        assert await raw.list_offset(topic, 1001) == (NONE, -1, -1)

    @pytest.mark.parametrize("special", [-3, -7])
    async def test_a_special_time_of_newer_versions_is_refused(self, raw: RawClient, topic: str, special: int) -> None:
        """-3 is the largest time, since version 7 (KIP-734)."""
        await raw.produce(topic, batch(b"a"))

        assert await raw.list_offset(topic, special) == (UNSUPPORTED_VERSION, -1, -1)

    async def test_an_unknown_topic_or_partition_is_told(self, raw: RawClient, topic: str) -> None:
        assert (await raw.list_offset(topic, LATEST, 3))[0] == UNKNOWN_TOPIC_OR_PARTITION
        assert (await raw.list_offset(fresh_name("topic"), LATEST))[0] == UNKNOWN_TOPIC_OR_PARTITION


class TestCommittedOffsets:
    async def test_what_one_client_commits_the_other_finds(
        self, client: Client, other: Client, new_topic: NewTopic, group: str
    ) -> None:
        topic = await new_topic(3)

        await client.commit(group, topic, {0: 5, 2: 2**40})

        assert await other.committed(group, topic, range(3)) == {0: 5, 1: None, 2: 2**40}

    async def test_a_later_commit_replaces_an_earlier_one(
        self, client: Client, other: Client, topic: str, group: str
    ) -> None:
        await client.commit(group, topic, {0: 5})
        await other.commit(group, topic, {0: 3})

        assert await client.committed(group, topic, [0]) == {0: 3}

    async def test_an_unknown_group_has_none(self, client: Client, topic: str) -> None:
        assert await client.committed(fresh_name("group"), topic, [0]) == {0: None}

    async def test_groups_do_not_see_each_others(self, client: Client, topic: str, group: str) -> None:
        await client.commit(group, topic, {0: 5})

        assert await client.committed(f"{group}-too", topic, [0]) == {0: None}

    async def test_lag_is_the_end_less_the_committed_offset(
        self, client: Client, other: Client, new_topic: NewTopic, group: str
    ) -> None:
        topic = await new_topic(2)
        await client.produce(topic, *[Record(b"a")] * 10, partition=0)
        await client.produce(topic, *[Record(b"a")] * 4, partition=1)
        await client.commit(group, topic, {0: 7, 1: 4})

        committed = await other.committed(group, topic, [0, 1])
        ends = {each: await other.end_offset(topic, each) for each in (0, 1)}

        lags = {each: ends[each] - (offset or 0) for each, offset in committed.items()}
        assert lags == {0: 3, 1: 0}

    async def test_an_unknown_topic_or_partition_cannot_be_committed(
        self, raw: RawClient, topic: str, group: str
    ) -> None:
        assert await raw.commit(group, fresh_name("topic"), 1) == UNKNOWN_TOPIC_OR_PARTITION
        assert await raw.commit(group, topic, 1, partition=1) == UNKNOWN_TOPIC_OR_PARTITION
        assert await raw.committed(group, None) == {}

    async def test_without_topics_all_of_a_group_are_told(
        self, raw: RawClient, new_topic: NewTopic, group: str
    ) -> None:
        one, another = await new_topic(2), await new_topic()
        await raw.commit(group, one, 3, partition=1, metadata="m")
        await raw.commit(group, another, 4)

        assert await raw.committed(group, None) == {(one, 1): (3, "m", NONE), (another, 0): (4, "", NONE)}
        assert await raw.committed(fresh_name("group"), None) == {}

    async def test_what_was_never_committed_is_minus_one(self, raw: RawClient, topic: str, group: str) -> None:
        await raw.commit(group, topic, 3)

        unknown = fresh_name("topic")
        found = await raw.committed(group, {topic: [0, 5], unknown: [0]})

        assert found == {(topic, 0): (3, "", NONE), (topic, 5): (-1, "", NONE), (unknown, 0): (-1, "", NONE)}

    async def test_no_metadata_is_empty_metadata(self, raw: RawClient, topic: str, group: str) -> None:
        await raw.commit(group, topic, 3, metadata=None)

        assert await raw.committed(group, {topic: [0]}) == {(topic, 0): (3, "", NONE)}

    async def test_metadata_may_have_4096_characters(self, raw: RawClient, topic: str, group: str) -> None:
        assert await raw.commit(group, topic, 1, metadata="m" * 4096) == NONE
        assert await raw.commit(group, topic, 2, metadata="m" * 4097) == OFFSET_METADATA_TOO_LARGE
        assert await raw.committed(group, None) == {(topic, 0): (1, "m" * 4096, NONE)}

    async def test_an_offset_beyond_the_end_may_be_committed(self, raw: RawClient, topic: str, group: str) -> None:
        assert await raw.commit(group, topic, 2**62) == NONE
        assert await raw.committed(group, {topic: [0]}) == {(topic, 0): (2**62, "", NONE)}

    async def test_who_claims_to_be_a_member_of_an_unknown_group_cannot_commit(
        self, raw: RawClient, topic: str, group: str
    ) -> None:
        assert await raw.commit(group, topic, 1, generation=1, member="somebody") == ILLEGAL_GENERATION

    async def test_who_is_no_member_cannot_commit_while_there_are_members(
        self, raw: RawClient, topic: str, group: str
    ) -> None:
        joined = await raw.join(group)
        await raw.sync(group, joined.generation, joined.member, {joined.member: b""})

        assert await raw.commit(group, topic, 1) == UNKNOWN_MEMBER_ID
        await raw.leave(group, joined.member)
        assert await raw.commit(group, topic, 1) == NONE

    async def test_a_deleted_topics_offsets_are_forgotten(
        self, client: Client, raw: RawClient, new_topic: NewTopic, group: str
    ) -> None:
        topic, kept = await new_topic(), await new_topic()
        await client.commit(group, topic, {0: 5})
        await client.commit(group, kept, {0: 6})

        await raw.delete_topics(topic)

        async def are_forgotten() -> bool:
            return await raw.committed(group, None) == {(kept, 0): (6, "", NONE)}

        await until(are_forgotten)

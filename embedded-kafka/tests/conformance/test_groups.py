"""Consumer groups as their members see them: sharing, joining, leaving, crashing, being thrown out."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.waiting import until

from .client import SESSION_MS, Client, Member, Refused, ThrownOut
from .conftest import Join, NewTopic
from .member_process import SESSION_MS as CRASHING_SESSION_MS
from .names import GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, NONE, fresh_name
from .raw import RawClient
from .records import Record, Stored

PAIRS = [("aiokafka", "aiokafka"), ("confluent", "confluent"), ("aiokafka", "confluent")]


async def until_shared(topic: str, partitions: int, *members: Member) -> list[frozenset[tuple[str, int]]]:
    """Until the members have all partitions between them, none twice, and each some; what each has."""
    assigned: list[frozenset[tuple[str, int]]] = []

    async def are_shared() -> bool:
        await asyncio.gather(*[member.poll(0.05) for member in members])
        assigned[:] = [await member.assignment() for member in members]
        together = sorted(place for of_one in assigned for place in of_one)
        return all(assigned) and together == [(topic, each) for each in range(partitions)]

    await until(are_shared)
    return assigned


class TestSharing:
    @pytest.mark.parametrize("strategy", ["range", "roundrobin"])
    @pytest.mark.parametrize("names", PAIRS, ids="-".join)
    async def test_two_members_share_the_partitions_and_each_record_comes_once(
        self,
        clients: dict[str, Client],
        new_topic: NewTopic,
        group: str,
        join: Join,
        names: Sequence[str],
        strategy: str,
    ) -> None:
        topic = await new_topic(4)
        members = [await join(clients[name], group, topic, strategy=strategy) for name in names]
        assigned = await until_shared(topic, 4, *members)
        assert [len(of_one) for of_one in assigned] == [2, 2]

        for partition in range(4):
            await clients["aiokafka"].produce(
                topic, *[Record(b"%d" % number) for number in range(10)], partition=partition
            )
        read = await asyncio.gather(*[member.take(20) for member in members])

        for records, places in zip(read, assigned, strict=True):
            assert {(topic, each.partition) for each in records} == places
        assert in_order(read[0] + read[1]) == {
            partition: [(offset, b"%d" % offset) for offset in range(10)] for partition in range(4)
        }

    async def test_a_member_without_a_partition_waits(
        self, client: Client, other: Client, topic: str, group: str, join: Join
    ) -> None:
        one = await join(client, group, topic)
        await until_shared(topic, 1, one)

        another = await join(other, group, topic)

        async def one_waits() -> bool:
            await asyncio.gather(one.poll(0.05), another.poll(0.05))
            described = (await client.describe_group(group)).members
            assigned = {each.client_id: await each.assignment() for each in (one, another)}
            return assigned == {each.client_id: each.partitions for each in described} and sorted(
                map(len, assigned.values())
            ) == [0, 1]

        await until(one_waits)

    async def test_a_newcomer_takes_over_what_was_committed(
        self, client: Client, other: Client, topic: str, group: str, join: Join
    ) -> None:
        await client.produce(topic, *[Record(b"%d" % number) for number in range(6)], partition=0)
        one = await join(client, group, topic)
        assert len(await one.take(6)) == 6
        await one.commit(topic, {0: 4})
        await one.leave()

        another = await join(other, group, topic)

        assert [each.offset for each in await another.take(2)] == [4, 5]
        assert await client.committed(group, topic, [0]) == {0: 4}

    async def test_groups_read_independently(
        self, client: Client, other: Client, topic: str, group: str, another_group: str, join: Join
    ) -> None:
        await client.produce(topic, Record(b"a"), partition=0)

        members = [await join(client, group, topic), await join(other, another_group, topic)]

        assert [[each.value for each in await member.take(1)] for member in members] == [[b"a"], [b"a"]]


class TestComingAndGoing:
    @pytest.mark.parametrize("names", PAIRS, ids="-".join)
    async def test_who_joins_gets_its_share_and_who_leaves_gives_it_back_at_once(
        self, clients: dict[str, Client], new_topic: NewTopic, group: str, join: Join, names: Sequence[str]
    ) -> None:
        topic = await new_topic(2)
        one = await join(clients[names[0]], group, topic)
        await until_shared(topic, 2, one)

        another = await join(clients[names[1]], group, topic)
        await until_shared(topic, 2, one, another)

        began = time.monotonic()
        await another.leave()
        await until_shared(topic, 2, one)
        assert time.monotonic() - began < SESSION_MS / 1000 / 3

    @pytest.mark.parametrize("names", PAIRS, ids="-".join)
    async def test_a_crashed_members_share_is_taken_over_after_its_session(
        self,
        clients: dict[str, Client],
        bootstrap: str,
        new_topic: NewTopic,
        group: str,
        join: Join,
        names: Sequence[str],
    ) -> None:
        topic = await new_topic(2)
        for partition in range(2):
            await clients["aiokafka"].produce(topic, Record(b"a"), partition=partition)
        one = await join(clients[names[0]], group, topic)
        await until_shared(topic, 2, one)

        async with member_process(names[1], bootstrap, group, topic) as process:
            assert process.stdout
            saying = asyncio.create_task(process.stdout.readline())
            await until_polled(one, saying)
            assert await saying == b"reading\n"
            assert len(await one.assignment()) == 1
            process.kill()
            await process.wait()
        began = time.monotonic()

        await until_shared(topic, 2, one)
        assert time.monotonic() - began > CRASHING_SESSION_MS / 1000 * 0.5

    async def test_a_member_killed_in_the_middle_of_a_rebalance_does_not_stop_the_group(
        self, client: Client, bootstrap: str, raw: RawClient, new_topic: NewTopic, group: str, join: Join
    ) -> None:
        """The rebalance waits for a member that is slow to hear of it, and meanwhile a newcomer dies."""
        topic = await new_topic(2)
        slow = await raw.join(group, session_ms=20_000, rebalance_ms=20_000)
        await raw.sync(group, slow.generation, slow.member, {slow.member: b""})

        async with member_process(client.name, bootstrap, group, topic) as process:

            async def is_in_the_middle() -> bool:
                return (await raw.describe_group(group))[0] == "PreparingRebalance"

            await until(is_in_the_middle)
            process.kill()
            await process.wait()
        assert await raw.leave(group, slow.member) == NONE

        one = await join(client, group, topic)
        await until_shared(topic, 2, one)

    async def test_who_was_thrown_out_cannot_commit(
        self, client: Client, raw: RawClient, topic: str, group: str, join: Join
    ) -> None:
        await client.produce(topic, Record(b"a"), partition=0)
        member = await join(client, group, topic)
        await member.take(1)
        [described] = (await client.describe_group(group)).members

        await raw.leave(group, described.id)

        with pytest.raises(ThrownOut):
            await member.commit(topic, {0: 1})
        assert await client.committed(group, topic, [0]) == {0: None}

    async def test_who_was_thrown_out_joins_again_by_itself(
        self, client: Client, raw: RawClient, topic: str, group: str, join: Join
    ) -> None:
        member = await join(client, group, topic)
        await until_shared(topic, 1, member)
        [described] = (await client.describe_group(group)).members

        await raw.leave(group, described.id)

        async def is_back() -> bool:
            await member.poll(0.05)
            group_now = await client.describe_group(group)
            return group_now.state == "stable" and {each.id for each in group_now.members}.isdisjoint([described.id])

        await until(is_back)
        await client.produce(topic, Record(b"a"), partition=0)
        assert [each.value for each in await member.take(1)] == [b"a"]
        await member.commit(topic, {0: 1})
        assert await client.committed(group, topic, [0]) == {0: 1}


class TestLookingAtGroups:
    async def test_a_group_is_described_with_its_members_and_what_they_have(
        self, client: Client, other: Client, new_topic: NewTopic, group: str, join: Join
    ) -> None:
        topic = await new_topic(2)
        members = [await join(client, group, topic), await join(other, group, topic)]
        assigned = await until_shared(topic, 2, *members)

        described = await client.describe_group(group)

        assert described.state == "stable"
        assert {each.client_id: each.partitions for each in described.members} == {
            member.client_id: places for member, places in zip(members, assigned, strict=True)
        }
        assert described == await other.describe_group(group)

    async def test_a_group_with_offsets_alone_is_empty(self, client: Client, topic: str, group: str) -> None:
        await client.commit(group, topic, {0: 1})

        described = await client.describe_group(group)

        assert (described.state, described.members) == ("empty", ())
        assert group in await client.groups()

    async def test_a_group_that_was_left_by_all_is_empty(
        self, client: Client, topic: str, group: str, join: Join
    ) -> None:
        member = await join(client, group, topic)
        await until_shared(topic, 1, member)
        assert group in await client.groups()
        await member.commit(topic, {0: 0})  # without an offset an empty group may be forgotten at any time

        await member.leave()

        described = await client.describe_group(group)
        assert (described.state, described.members) == ("empty", ())
        assert group in await client.groups()

    async def test_a_group_with_members_cannot_be_deleted(
        self, client: Client, topic: str, group: str, join: Join
    ) -> None:
        member = await join(client, group, topic)
        await until_shared(topic, 1, member)

        with pytest.raises(Refused) as refused:
            await client.delete_group(group)

        assert refused.value.code == NON_EMPTY_GROUP

    async def test_a_deleted_group_and_its_offsets_are_gone(self, client: Client, topic: str, group: str) -> None:
        await client.commit(group, topic, {0: 1})

        await client.delete_group(group)

        assert group not in await client.groups()
        assert await client.committed(group, topic, [0]) == {0: None}
        with pytest.raises(Refused) as refused:
            await client.delete_group(group)
        assert refused.value.code == GROUP_ID_NOT_FOUND

    async def test_an_unknown_group_cannot_be_deleted(self, client: Client) -> None:
        with pytest.raises(Refused) as refused:
            await client.delete_group(fresh_name("group"))

        assert refused.value.code == GROUP_ID_NOT_FOUND


def in_order(records: list[Stored]) -> dict[int, list[tuple[int, bytes | None]]]:
    """Offsets and values of each partition, in the order in which they came."""
    found: dict[int, list[tuple[int, bytes | None]]] = {}
    for each in records:
        found.setdefault(each.partition, []).append((each.offset, each.value))
    return found


async def until_polled(member: Member, task: "asyncio.Task[bytes]") -> None:
    """Polls until the task is done: a member that does not poll may not take part in a rebalance."""

    async def is_done() -> bool:
        await member.poll(0.05)
        return task.done()

    await until(is_done)


@asynccontextmanager
async def member_process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("member_process.py")),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

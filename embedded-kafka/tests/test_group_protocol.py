"""The group protocol as its messages tell it: generations, fencing and time limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.clients import Clients
from support.raw import RawClient

from embedded_kafka import EmbeddedKafka
from embedded_kafka.errors import ErrorCode

Connect = Callable[[], Awaitable[RawClient]]


@pytest.fixture
async def raw(kafka: EmbeddedKafka) -> AsyncIterator[Connect]:
    opened: list[RawClient] = []

    async def connect() -> RawClient:
        opened.append(await RawClient.connect(kafka.bootstrap))
        return opened[-1]

    yield connect
    for client in opened:
        await client.close()


def joining(
    member_id: str = "",
    *,
    session_ms: int = 10_000,
    rebalance_ms: int = 10_000,
    protocols: tuple[str, ...] = ("range",),
) -> dict[str, Any]:
    return {
        "group_id": "g",
        "session_timeout_ms": session_ms,
        "rebalance_timeout_ms": rebalance_ms,
        "member_id": member_id,
        "protocol_type": "consumer",
        "protocols": [{"name": name, "metadata": name.encode()} for name in protocols],
    }


def syncing(generation: int, member_id: str, assignments: dict[str, bytes] | None = None) -> dict[str, Any]:
    assigned = [{"member_id": name, "assignment": work} for name, work in (assignments or {}).items()]
    return {"group_id": "g", "generation_id": generation, "member_id": member_id, "assignments": assigned}


async def alone(client: RawClient, request: dict[str, Any] | None = None) -> str:
    """Joins, and becomes the stable group's only member."""
    joined = await client.ask("JoinGroup", **(request or joining()))
    work = {joined.member_id: b"everything"}
    synced = await client.ask("SyncGroup", **syncing(joined.generation_id, joined.member_id, work))
    assert (joined.error_code, synced.error_code, bytes(synced.assignment)) == (0, 0, b"everything")
    return str(joined.member_id)


async def heartbeat(client: RawClient, generation: int, member_id: str) -> int:
    answer = await client.ask("Heartbeat", group_id="g", generation_id=generation, member_id=member_id)
    return int(answer.error_code)


async def commit(client: RawClient, generation: int, member_id: str) -> int:
    topics = [{"name": "t", "partitions": [{"partition": 0, "offset": 1}]}]
    answer = await client.ask(
        "OffsetCommit", group_id="g", generation_id=generation, member_id=member_id, topics=topics
    )
    return int(answer.topics[0].partitions[0].error_code)


async def described(client: RawClient) -> Any:
    return (await client.ask("DescribeGroups", group_ids=["g"])).groups[0]


async def state_of(client: RawClient) -> str:
    return str((await described(client)).state)


async def until_state(client: RawClient, state: str) -> None:
    async with asyncio.timeout(10):
        while await state_of(client) != state:
            pass


async def test_the_leader_learns_who_is_there_and_assigns_to_all(raw: Connect) -> None:
    first, second = await raw(), await raw()

    a, b = await asyncio.gather(first.ask("JoinGroup", **joining()), second.ask("JoinGroup", **joining()))
    assert a.generation_id == b.generation_id == 1
    leader, follower = (a, b) if a.leader == a.member_id else (b, a)
    work = {a.member_id: b"for a", b.member_id: b"for b"}
    synced = await asyncio.gather(
        first.ask("SyncGroup", **syncing(1, a.member_id, work if a is leader else None)),
        second.ask("SyncGroup", **syncing(1, b.member_id, work if b is leader else None)),
    )

    assert {member.member_id for member in leader.members} == {a.member_id, b.member_id}
    assert follower.members == []
    assert [bytes(each.assignment) for each in synced] == [b"for a", b"for b"]


async def test_the_protocol_that_most_members_want_is_taken_of_those_all_have(raw: Connect) -> None:
    clients = [await raw() for _ in range(3)]
    offers = [("x", "range", "sticky"), ("sticky", "range"), ("sticky", "range", "x")]

    joined = await asyncio.gather(
        *[client.ask("JoinGroup", **joining(protocols=offer)) for client, offer in zip(clients, offers, strict=True)]
    )

    assert {answer.protocol_name for answer in joined} == {"sticky"}


async def test_a_member_without_a_common_protocol_is_refused(raw: Connect) -> None:
    first, second = await raw(), await raw()
    await alone(first)

    answer = await second.ask("JoinGroup", **joining(protocols=("other",)))
    nothing = await second.ask("JoinGroup", **joining(protocols=()))

    assert answer.error_code == nothing.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert await state_of(second) == "Stable"


async def test_strangers_and_former_generations_are_fenced_everywhere(raw: Connect, clients: Clients) -> None:
    await clients.create_topic("t")
    client = await raw()
    member_id = await alone(client)

    assert await heartbeat(client, 1, member_id) == ErrorCode.NONE
    assert await commit(client, 1, member_id) == ErrorCode.NONE
    for generation, name, code in (
        (0, member_id, ErrorCode.ILLEGAL_GENERATION),
        (2, member_id, ErrorCode.ILLEGAL_GENERATION),
        (1, "stranger", ErrorCode.UNKNOWN_MEMBER_ID),
    ):
        assert await heartbeat(client, generation, name) == code
        assert await commit(client, generation, name) == code
        synced = await client.ask("SyncGroup", **syncing(generation, name))
        assert synced.error_code == code
    assert await commit(client, -1, "") == ErrorCode.UNKNOWN_MEMBER_ID
    assert (await client.ask("JoinGroup", **joining("stranger"))).error_code == ErrorCode.UNKNOWN_MEMBER_ID
    left = await client.ask("LeaveGroup", group_id="g", member_id="stranger")
    assert left.error_code == ErrorCode.UNKNOWN_MEMBER_ID


async def test_in_a_group_that_nobody_has_joined_only_generation_minus_one_may_commit(
    raw: Connect, clients: Clients
) -> None:
    await clients.create_topic("t")
    client = await raw()

    assert await commit(client, 3, "somebody") == ErrorCode.ILLEGAL_GENERATION
    assert await heartbeat(client, 3, "somebody") == ErrorCode.UNKNOWN_MEMBER_ID
    assert await commit(client, -1, "") == ErrorCode.NONE


async def test_members_are_told_of_a_rebalance_and_may_still_commit_before_they_rejoin(
    raw: Connect, clients: Clients
) -> None:
    await clients.create_topic("t")
    first, second = await raw(), await raw()
    a = await alone(first)
    waiting = asyncio.create_task(second.ask("JoinGroup", **joining()))
    await until_state(first, "PreparingRebalance")

    told = await heartbeat(first, 1, a)
    synced = await first.ask("SyncGroup", **syncing(1, a))
    committed = await commit(first, 1, a)
    rejoined = await first.ask("JoinGroup", **joining(a))
    b = await waiting
    too_early = await commit(first, 2, a)

    assert told == synced.error_code == too_early == ErrorCode.REBALANCE_IN_PROGRESS
    assert committed == ErrorCode.NONE
    assert rejoined.generation_id == b.generation_id == 2
    assert rejoined.leader == a


async def test_who_does_not_rejoin_in_time_is_out(raw: Connect) -> None:
    first, second = await raw(), await raw()
    sleepy = await alone(first, joining(rebalance_ms=300))

    answer = await second.ask("JoinGroup", **joining(rebalance_ms=300))

    assert [member.member_id for member in answer.members] == [answer.member_id]
    assert await heartbeat(first, 2, sleepy) == ErrorCode.UNKNOWN_MEMBER_ID


async def test_a_leader_that_never_assigns_is_out(raw: Connect) -> None:
    first, second = await raw(), await raw()
    a, b = await asyncio.gather(
        first.ask("JoinGroup", **joining(rebalance_ms=300)),
        second.ask("JoinGroup", **joining(rebalance_ms=300)),
    )
    leader, follower, follower_client = (a, b, second) if a.leader == a.member_id else (b, a, first)

    synced = await follower_client.ask("SyncGroup", **syncing(1, follower.member_id))
    again = await follower_client.ask("JoinGroup", **joining(follower.member_id))

    assert synced.error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert again.leader == follower.member_id
    assert leader.member_id not in [member.member_id for member in again.members]


async def test_who_misses_its_heartbeats_is_out_even_if_its_connection_stands(raw: Connect) -> None:
    client = await raw()
    member_id = await alone(client, joining(session_ms=500))

    await until_state(client, "Empty")

    assert await heartbeat(client, 1, member_id) == ErrorCode.UNKNOWN_MEMBER_ID


async def test_heartbeats_keep_a_member_in_beyond_its_session_timeout(raw: Connect) -> None:
    client = await raw()
    member_id = await alone(client, joining(session_ms=500))
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.2

    while loop.time() < end:
        assert await heartbeat(client, 1, member_id) == ErrorCode.NONE

    assert await state_of(client) == "Stable"


async def test_a_newcomer_that_hangs_up_while_it_waits_is_forgotten_at_once(raw: Connect) -> None:
    first, second = await raw(), await raw()
    a = await alone(first)
    waiting = asyncio.create_task(second.ask("JoinGroup", **joining()))
    await until_state(first, "PreparingRebalance")

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await second.close()
    async with asyncio.timeout(5):
        while len((await described(first)).members) > 1:
            pass
    rejoined = await first.ask("JoinGroup", **joining(a))

    assert [member.member_id for member in rejoined.members] == [a]


async def test_a_member_that_asks_again_after_a_lost_answer_gets_the_same_generation(raw: Connect) -> None:
    first, second = await raw(), await raw()
    a, b = await asyncio.gather(first.ask("JoinGroup", **joining()), second.ask("JoinGroup", **joining()))
    follower, client = (b, second) if a.leader == a.member_id else (a, first)

    again = await client.ask("JoinGroup", **joining(follower.member_id))

    assert (again.generation_id, again.member_id, again.error_code) == (1, follower.member_id, 0)

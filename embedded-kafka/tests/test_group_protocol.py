"""What is our own in the group protocol, and not in the conformance suite: votes, time limits, who hangs up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
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


async def described(client: RawClient) -> Any:
    return (await client.ask("DescribeGroups", group_ids=["g"])).groups[0]


async def state_of(client: RawClient) -> str:
    return str((await described(client)).state)


async def until_state(client: RawClient, state: str) -> None:
    async with asyncio.timeout(10):
        while await state_of(client) != state:
            pass


async def test_the_protocol_that_most_members_want_is_taken_of_those_all_have(raw: Connect) -> None:
    clients = [await raw() for _ in range(3)]
    offers = [("x", "range", "sticky"), ("sticky", "range"), ("sticky", "range", "x")]

    joined = await asyncio.gather(
        *[client.ask("JoinGroup", **joining(protocols=offer)) for client, offer in zip(clients, offers, strict=True)]
    )

    assert {answer.protocol_name for answer in joined} == {"sticky"}


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

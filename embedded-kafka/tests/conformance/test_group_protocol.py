"""The group protocol in raw requests, where clients are too polite: fences, refusals, and a rebalance step by step."""

import asyncio
import time

import pytest
from support.waiting import until

from .conftest import Connect
from .names import (
    ILLEGAL_GENERATION,
    INCONSISTENT_GROUP_PROTOCOL,
    INVALID_GROUP_ID,
    INVALID_SESSION_TIMEOUT,
    NONE,
    REBALANCE_IN_PROGRESS,
    UNKNOWN_MEMBER_ID,
    fresh_name,
)
from .raw import Joined, RawClient, join_request, joined_of, sync_request

SHORT_SESSION_MS = 1000


async def only_member(raw: RawClient, group: str) -> Joined:
    """Of a stable group, with the assignment b"mine"."""
    joined = await raw.join(group)
    assert joined.error == NONE
    assert await raw.sync(group, joined.generation, joined.member, {joined.member: b"mine"}) == (NONE, b"mine")
    return joined


async def until_rebalancing(raw: RawClient, joined: Joined, group: str) -> None:
    async def is_rebalancing() -> bool:
        return await raw.heartbeat(group, joined.generation, joined.member) == REBALANCE_IN_PROGRESS

    await until(is_rebalancing)


async def two_members(
    leader: RawClient, follower: RawClient, group: str, *, session_ms: int = 10_000
) -> tuple[Joined, Joined]:
    """In the same generation, which has no assignment yet."""
    first = await only_member(leader, group)
    request = join_request(group, session_ms=session_ms)
    asked = follower.say(request)
    await until_rebalancing(leader, first, group)
    led = await leader.join(group, first.member, session_ms=session_ms)
    followed = joined_of(await follower.answer(request, asked))
    assert led.generation == followed.generation == first.generation + 1
    assert led.leader == followed.leader == led.member == first.member
    return led, followed


class TestRebalance:
    async def test_the_first_member_leads_and_is_told_of_all(self, raw: RawClient, group: str) -> None:
        joined = await raw.join(group, protocol_type="test", protocols=[("one", b"about me"), ("two", b"")])

        assert (joined.error, joined.generation, joined.protocol) == (NONE, 1, "one")
        assert joined.leader == joined.member != ""
        assert joined.members == {joined.member: b"about me"}

    async def test_only_the_leader_is_told_of_the_members(self, connect: Connect, group: str) -> None:
        led, followed = await two_members(await connect(), await connect(), group)

        assert set(led.members) == {led.member, followed.member}
        assert followed.members == {}

    async def test_each_gets_what_the_leader_assigned(self, connect: Connect, group: str) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group)
        request = sync_request(group, followed.generation, followed.member)
        asked = follower.say(request)

        got = await leader.sync(group, led.generation, led.member, {led.member: b"one", followed.member: b"two"})

        assert got == (NONE, b"one")
        assert (await follower.answer(request, asked)).member_assignment == b"two"
        assert (await follower.heartbeat(group, followed.generation, followed.member)) == NONE
        assert (await follower.sync(group, followed.generation, followed.member)) == (NONE, b"two")

    async def test_the_protocol_is_one_that_all_know(self, connect: Connect, group: str) -> None:
        one, another = await connect(), await connect()
        first = await one.join(group, protocols=[("range", b"r"), ("sticky", b"s")])
        request = join_request(group, protocols=[("sticky", b""), ("roundrobin", b"")])
        asked = another.say(request)
        await until_rebalancing(one, first, group)

        led = await one.join(group, first.member, protocols=[("range", b"r"), ("sticky", b"s")])

        assert led.protocol == joined_of(await another.answer(request, asked)).protocol == "sticky"

    async def test_a_newcomer_waits_until_the_others_have_joined_again(self, connect: Connect, group: str) -> None:
        one, another = await connect(), await connect()
        first = await only_member(one, group)
        request = join_request(group)

        joining = asyncio.create_task(another.answer(request, another.say(request)))
        await until_rebalancing(one, first, group)
        assert not joining.done()

        await one.join(group, first.member)
        assert joined_of(await joining).error == NONE

    async def test_who_does_not_join_again_in_time_is_a_member_no_more(self, connect: Connect, group: str) -> None:
        """The rebalance timeout is the longest that a member named."""
        slow, newcomer = await connect(), await connect()
        first = await slow.join(group, rebalance_ms=SHORT_SESSION_MS)
        await slow.sync(group, first.generation, first.member, {first.member: b""})

        joined = await newcomer.join(group, rebalance_ms=SHORT_SESSION_MS)

        assert (joined.error, set(joined.members)) == (NONE, {joined.member})
        assert await slow.heartbeat(group, first.generation, first.member) == UNKNOWN_MEMBER_ID

    async def test_who_dies_before_it_assigns_does_not_stop_the_others(self, connect: Connect, group: str) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group, session_ms=SHORT_SESSION_MS)
        await leader.close()
        began = time.monotonic()

        error, _ = await follower.sync(group, followed.generation, followed.member)

        assert error == REBALANCE_IN_PROGRESS
        assert time.monotonic() - began < 5 * SHORT_SESSION_MS / 1000  # its session, not the rebalance timeout
        again = await follower.join(group, followed.member)
        assert (again.error, again.leader) == (NONE, followed.member)
        assert set(again.members) == {followed.member}
        assert led.member not in again.members

    async def test_a_silent_member_is_a_member_no_more_after_its_session(self, raw: RawClient, group: str) -> None:
        joined = await raw.join(group, session_ms=SHORT_SESSION_MS)
        await raw.sync(group, joined.generation, joined.member, {joined.member: b""})

        async def is_gone() -> bool:
            return not (await raw.describe_group(group))[3]

        await until(is_gone)
        assert await raw.heartbeat(group, joined.generation, joined.member) == UNKNOWN_MEMBER_ID

    async def test_heartbeats_keep_a_member(self, raw: RawClient, group: str) -> None:
        joined = await raw.join(group, session_ms=SHORT_SESSION_MS)
        await raw.sync(group, joined.generation, joined.member, {joined.member: b""})
        loop = asyncio.get_running_loop()
        over = loop.time() + 1.5 * SHORT_SESSION_MS / 1000

        async def twice_as_long() -> bool:
            assert await raw.heartbeat(group, joined.generation, joined.member) == NONE
            return loop.time() > over

        await until(twice_as_long)

    async def test_a_member_that_joins_again_as_it_was_does_not_disturb_the_others(
        self, connect: Connect, group: str
    ) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group)
        await leader.sync(group, led.generation, led.member, {followed.member: b"two"})

        again = await follower.join(group, followed.member)

        assert (again.error, again.generation, again.member) == (NONE, followed.generation, followed.member)
        assert await leader.heartbeat(group, led.generation, led.member) == NONE

    async def test_a_leader_that_joins_again_begins_a_rebalance(self, connect: Connect, group: str) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group)
        await leader.sync(group, led.generation, led.member, {})
        request = join_request(group, led.member)

        asked = leader.say(request)
        await until_rebalancing(follower, followed, group)
        again = await follower.join(group, followed.member)

        assert joined_of(await leader.answer(request, asked)).generation == again.generation == led.generation + 1

    async def test_a_leaving_member_lets_the_others_share_again(self, connect: Connect, group: str) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group)
        await leader.sync(group, led.generation, led.member, {})

        assert await leader.leave(group, led.member) == NONE

        assert await follower.heartbeat(group, followed.generation, followed.member) == REBALANCE_IN_PROGRESS
        again = await follower.join(group, followed.member)
        assert (again.leader, set(again.members)) == (followed.member, {followed.member})

    async def test_a_group_that_all_have_left_begins_again(self, raw: RawClient, group: str) -> None:
        first = await only_member(raw, group)
        await raw.leave(group, first.member)

        second = await raw.join(group)

        assert second.error == NONE
        assert second.member != first.member
        assert set(second.members) == {second.member}


class TestFences:
    async def test_another_generation_is_refused(self, raw: RawClient, topic: str, group: str) -> None:
        joined = await only_member(raw, group)
        for generation in (joined.generation - 1, joined.generation + 1):
            assert await raw.heartbeat(group, generation, joined.member) == ILLEGAL_GENERATION
            assert (await raw.sync(group, generation, joined.member))[0] == ILLEGAL_GENERATION
            assert await raw.commit(group, topic, 1, generation=generation, member=joined.member) == ILLEGAL_GENERATION
        assert await raw.committed(group, None) == {}
        assert await raw.commit(group, topic, 1, generation=joined.generation, member=joined.member) == NONE

    async def test_somebody_else_is_refused(self, raw: RawClient, topic: str, group: str) -> None:
        joined = await only_member(raw, group)

        assert (await raw.join(group, "somebody")).error == UNKNOWN_MEMBER_ID
        assert (await raw.sync(group, joined.generation, "somebody"))[0] == UNKNOWN_MEMBER_ID
        assert await raw.heartbeat(group, joined.generation, "somebody") == UNKNOWN_MEMBER_ID
        assert await raw.leave(group, "somebody") == UNKNOWN_MEMBER_ID
        assert await raw.commit(group, topic, 1, generation=joined.generation, member="somebody") == UNKNOWN_MEMBER_ID
        assert await raw.committed(group, None) == {}

    async def test_an_unknown_group_has_no_members(self, raw: RawClient, group: str) -> None:
        assert (await raw.join(group, "somebody")).error == UNKNOWN_MEMBER_ID
        assert (await raw.sync(group, 1, "somebody"))[0] == UNKNOWN_MEMBER_ID
        assert await raw.heartbeat(group, 1, "somebody") == UNKNOWN_MEMBER_ID
        assert await raw.leave(group, "somebody") == UNKNOWN_MEMBER_ID

    async def test_an_old_generation_is_fenced_after_a_rebalance(
        self, connect: Connect, topic: str, group: str
    ) -> None:
        leader, follower = await connect(), await connect()
        led, _ = await two_members(leader, follower, group)
        await leader.sync(group, led.generation, led.member, {})

        old = led.generation - 1

        assert await leader.commit(group, topic, 1, generation=old, member=led.member) == ILLEGAL_GENERATION
        assert await leader.commit(group, topic, 2, generation=led.generation, member=led.member) == NONE

    async def test_who_has_left_is_fenced(self, raw: RawClient, topic: str, group: str) -> None:
        joined = await only_member(raw, group)
        await raw.leave(group, joined.member)

        assert await raw.heartbeat(group, joined.generation, joined.member) == UNKNOWN_MEMBER_ID
        refused = await raw.commit(group, topic, 1, generation=joined.generation, member=joined.member)
        # The second if the empty group has been forgotten meanwhile, which it may be at any time.
        assert refused in (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION)
        assert await raw.committed(group, None) == {}

    async def test_during_a_rebalance_a_member_may_still_commit_what_it_has_done(
        self, connect: Connect, topic: str, group: str
    ) -> None:
        one, newcomer = await connect(), await connect()
        first = await only_member(one, group)
        newcomer.say(join_request(group))
        await until_rebalancing(one, first, group)

        assert await one.commit(group, topic, 5, generation=first.generation, member=first.member) == NONE
        assert (await one.sync(group, first.generation, first.member))[0] == REBALANCE_IN_PROGRESS

    async def test_before_the_assignment_nobody_may_commit(self, connect: Connect, topic: str, group: str) -> None:
        leader, follower = await connect(), await connect()
        led, followed = await two_members(leader, follower, group)

        committed = await follower.commit(group, topic, 1, generation=followed.generation, member=followed.member)

        assert committed == REBALANCE_IN_PROGRESS
        assert await leader.heartbeat(group, led.generation, led.member) == NONE


class TestRefusals:
    @pytest.mark.parametrize("session_ms", [-1, 0, 1, 2**31 - 1])
    async def test_a_session_outside_the_brokers_bounds_is_refused(
        self, raw: RawClient, group: str, session_ms: int
    ) -> None:
        assert (await raw.join(group, session_ms=session_ms)).error == INVALID_SESSION_TIMEOUT

    async def test_a_group_needs_a_name(self, raw: RawClient) -> None:
        assert (await raw.join("")).error == INVALID_GROUP_ID
        assert (await raw.sync("", 1, "somebody"))[0] == INVALID_GROUP_ID
        assert await raw.heartbeat("", 1, "somebody") == INVALID_GROUP_ID
        assert await raw.leave("", "somebody") == INVALID_GROUP_ID

    async def test_a_member_must_know_a_protocol_that_the_others_know(self, connect: Connect, group: str) -> None:
        one, another = await connect(), await connect()
        first = await only_member(one, group)

        refused = [
            await another.join(group, protocols=[("roundrobin", b"")]),
            await another.join(group, protocol_type="connect"),
            await another.join(group, protocols=[]),
            await another.join(group, protocol_type=""),
        ]

        assert [each.error for each in refused] == [INCONSISTENT_GROUP_PROTOCOL] * 4
        assert await one.heartbeat(group, first.generation, first.member) == NONE

    async def test_the_first_member_must_know_a_protocol(self, raw: RawClient, group: str) -> None:
        assert (await raw.join(group, protocols=[])).error == INCONSISTENT_GROUP_PROTOCOL
        assert (await raw.join(group, protocol_type="")).error == INCONSISTENT_GROUP_PROTOCOL


class TestDescribing:
    async def test_a_group_tells_its_state_through_a_rebalance(self, connect: Connect, topic: str, group: str) -> None:
        leader, follower, looker = await connect(), await connect(), await connect()

        async def state() -> str:
            return (await looker.describe_group(group))[0]

        assert await state() == "Dead"
        first = await only_member(leader, group)
        assert await state() == "Stable"
        request = join_request(group)
        asked = follower.say(request)
        await until_rebalancing(leader, first, group)
        assert await state() == "PreparingRebalance"
        await leader.join(group, first.member)
        followed = joined_of(await follower.answer(request, asked))
        assert await state() == "CompletingRebalance"
        await leader.sync(group, followed.generation, first.member, {})
        assert await state() == "Stable"
        # Without an offset an empty group may be forgotten at any time.
        await leader.commit(group, topic, 0, generation=followed.generation, member=first.member)
        await leader.leave(group, first.member)
        await follower.leave(group, followed.member)
        assert await state() == "Empty"

    async def test_a_stable_group_tells_of_its_members(self, raw: RawClient, group: str) -> None:
        joined = await raw.join(group, protocol_type="test", protocols=[("one", b"about me")])
        await raw.sync(group, joined.generation, joined.member, {joined.member: b"mine"})

        _, protocol_type, protocol, [(member_id, client_id, host, metadata, assignment)] = await raw.describe_group(
            group
        )

        assert (protocol_type, protocol) == ("test", "one")
        assert (member_id, client_id) == (joined.member, "test")
        assert host.endswith("127.0.0.1")
        assert (metadata, assignment) == (b"about me", b"mine")

    async def test_an_unknown_group_is_dead(self, raw: RawClient) -> None:
        assert await raw.describe_group(fresh_name("group")) == ("Dead", "", "", [])

"""Members of a group that do by chance whatever a client could, with raw requests; and what must hold all the time."""

import asyncio
import random
from typing import Any

from aiokafka.protocol.commit import OffsetCommitRequest_v3
from aiokafka.protocol.group import (
    HeartbeatRequest_v1,
    JoinGroupRequest_v2,
    LeaveGroupRequest_v1,
    SyncGroupRequest_v1,
)

from .structs import Peer

_SESSION_MS, _REBALANCE_MS = 200, 300
_ANSWER_SECONDS = (_SESSION_MS + _REBALANCE_MS) / 1000 + 2  # a machine may be slow
_PROTOCOLS = [("range", b"r"), ("sticky", b"s"), ("odd", b"o")]
OK, ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, UNKNOWN_MEMBER, REBALANCE = 0, 22, 23, 25, 27


class Member:
    """As its client sees itself."""

    def __init__(self, peer: Peer, group: str) -> None:
        self.peer, self.group = peer, group
        self.id = ""
        self.generation = -1
        self.others: list[str] = []
        """Its own id among them, if it leads."""

    async def join(self, protocols: list[tuple[str, bytes]]) -> int:
        request = JoinGroupRequest_v2(self.group, _SESSION_MS, _REBALANCE_MS, self.id, "consumer", protocols)
        answer = await self.peer.ask(request, _ANSWER_SECONDS)
        if answer.error_code == OK:
            assert answer.group_protocol in dict(protocols)
            assert (answer.leader_id == answer.member_id) == bool(answer.members)
            self.id, self.generation = answer.member_id, answer.generation_id
            self.others = [each for each, _ in answer.members]
        return int(answer.error_code)

    async def sync(self, generation: int, assignments: list[tuple[str, bytes]]) -> tuple[int, bytes]:
        request = SyncGroupRequest_v1(self.group, generation, self.id, assignments)
        answer = await self.peer.ask(request, _ANSWER_SECONDS)
        return answer.error_code, answer.member_assignment

    async def become_stable(self, metadata: bytes) -> None:
        """Alone in its group."""
        assert await self.join([("range", metadata)]) == OK
        assert await self.sync(self.generation, [(self.id, metadata)]) == (OK, metadata)

    async def heartbeat(self, generation: int, member_id: str) -> int:
        return await self._code(HeartbeatRequest_v1(self.group, generation, member_id))

    async def leave(self, member_id: str) -> int:
        return await self._code(LeaveGroupRequest_v1(self.group, member_id))

    async def commit(self, generation: int, member_id: str) -> int:
        request = OffsetCommitRequest_v3(self.group, generation, member_id, -1, [("bystander", [(0, 1, "")])])
        answer = await self.peer.ask(request, _ANSWER_SECONDS)
        return int(answer.topics[0][1][0][1])

    async def _code(self, request: Any) -> int:
        return int((await self.peer.ask(request, _ANSWER_SECONDS)).error_code)


class GroupWalk:
    """A walk can't be repeated exactly, as its members take turns as they are answered, but it is the same in kind."""

    def __init__(self, bootstrap: str, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.generation = 0
        self.assigned: dict[int, set[str]] = {}
        """To whom, in each generation."""
        self._bootstrap = bootstrap

    async def run(self, members: int, steps: int) -> None:
        """All ends with everybody having left or vanished."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(members):
                tasks.create_task(self._live(random.Random(self.seed + index), steps))

    async def _live(self, chance: random.Random, steps: int) -> None:
        member = Member(await Peer.connect(self._bootstrap), self.name)
        for _ in range(steps):
            match chance.randrange(20):
                case 0:
                    await member.peer.close()
                    member = Member(await Peer.connect(self._bootstrap), self.name)
                case 1:
                    # Vanishes in the middle of waiting, when others may count on it.
                    asking = asyncio.ensure_future(member.join(_PROTOCOLS))
                    await asyncio.wait([asking], timeout=chance.random() / 100)
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                    await member.peer.close()
                    member = Member(await Peer.connect(self._bootstrap), self.name)
                case 2:
                    if member.id:
                        assert await member.leave(member.id) in (OK, UNKNOWN_MEMBER)
                        member.id = ""
                case 3:
                    await self._lie(member, chance)
                case 4:
                    await asyncio.sleep(_SESSION_MS / 1000 * 1.5)  # is silent for longer than it may
                case 5:
                    await self._join(member, chance.sample(_PROTOCOLS, chance.randrange(1, 4)))
                case _:
                    await self._behave(member)
        if member.id and chance.random() < 0.5:
            assert await member.leave(member.id) in (OK, UNKNOWN_MEMBER)
        await member.peer.close()

    async def _behave(self, member: Member) -> None:
        """A heartbeat and a commit, and what their answer asks for."""
        code = await member.heartbeat(member.generation, member.id)
        assert code in (OK, ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCE)
        if code == OK:
            assert await member.commit(member.generation, member.id) in (
                OK,
                ILLEGAL_GENERATION,
                UNKNOWN_MEMBER,
                REBALANCE,
            )
            return
        if code == UNKNOWN_MEMBER:
            member.id = ""
        await self._join(member, _PROTOCOLS)

    async def _join(self, member: Member, protocols: list[tuple[str, bytes]]) -> None:
        code = await member.join(protocols)
        assert code in (OK, UNKNOWN_MEMBER, INCONSISTENT_PROTOCOL, REBALANCE)
        if code != OK:
            member.id = "" if code == UNKNOWN_MEMBER else member.id
            return
        assert member.generation >= self.generation, f"generation {member.generation} after {self.generation}"
        self.generation = member.generation
        # Whoever leads says for which generation it was, and for whom.
        assignments = [(each, f"{member.generation} {each}".encode()) for each in member.others]
        code, assignment = await member.sync(member.generation, assignments)
        assert code in (OK, ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCE)
        if code == OK:
            assert assignment == f"{member.generation} {member.id}".encode()
            self.assigned.setdefault(member.generation, set()).add(member.id)

    async def _lie(self, member: Member, chance: random.Random) -> None:
        """Nothing that is not so is ever taken for good."""
        wrong = member.generation + chance.choice([-1, 1, 1000])
        if wrong < 0:  # a commit by nobody
            wrong = 1000
        fenced = (ILLEGAL_GENERATION, UNKNOWN_MEMBER)
        assert await member.heartbeat(wrong, member.id) in fenced
        assert await member.heartbeat(member.generation, "nobody") == UNKNOWN_MEMBER
        assert (await member.sync(wrong, []))[0] in fenced
        assert await member.commit(wrong, member.id) in fenced
        assert await member.leave("nobody") == UNKNOWN_MEMBER

"""Consumer groups: who is a member, which generation it is, and who missed a heartbeat (the classic group protocol).

The states are Kafka's: Empty, PreparingRebalance (members join), CompletingRebalance (the leader assigns), Stable.
Memberships are not kept on disk: after a restart of the broker every member is unknown, and joins again by itself.
"""

import asyncio
import logging
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import ErrorCode, KafkaError
from .messages import (
    DescribedGroup,
    DescribedMember,
    JoinedMember,
    JoinGroupRequest,
    JoinGroupResponse,
    MemberAssignment,
    SyncGroupResponse,
)
from .settings import BrokerSettings

logger = logging.getLogger(__name__)

Joined = asyncio.Future[JoinGroupResponse]
Synced = asyncio.Future[SyncGroupResponse]


class State(StrEnum):
    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


@dataclass(eq=False)
class Member:
    id: str
    client_id: str
    client_host: str
    session_seconds: float
    rebalance_seconds: float
    protocols: dict[str, bytes]
    assignment: bytes = b""
    deadline: float = 0
    joined: Joined | None = None
    """Set while the member waits for the others to join, and `synced` while it waits for the leader's assignment."""
    synced: Synced | None = None
    knows_its_id: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Group:
    def __init__(self, group_id: str, settings: BrokerSettings) -> None:
        self.id = group_id
        self.state = State.EMPTY
        self.generation = 0
        self.protocol_type = ""
        self.protocol = ""
        self.leader = ""
        self.members: dict[str, Member] = {}
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None  # until the rebalance must be over
        self._waits_for_more = False

    # What members ask

    def join(self, request: JoinGroupRequest, client_id: str, client_host: str) -> Joined:
        protocols = {protocol.name: bytes(protocol.metadata) for protocol in request.protocols}
        if not self._fits(request.protocol_type, protocols, request.member_id):
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        if request.member_id:
            member = self._member(request.member_id)
        else:
            member = self._add_member(request, client_id, client_host)
        changed = member.protocols != protocols
        member.protocols = protocols
        self.protocol_type = request.protocol_type
        _end(member.joined, ErrorCode.REBALANCE_IN_PROGRESS)
        joined = member.joined = self._loop.create_future()
        joined.add_done_callback(lambda done: self._forget_if_gone(member) if done.cancelled() else None)
        if self.state is State.PREPARING_REBALANCE:
            self._complete_join_if_all_are_here()
        elif self.state is State.EMPTY:
            self._prepare_rebalance(wait_for_more=True)
        elif changed or (self.state is State.STABLE and member.id == self.leader):
            self._prepare_rebalance()
        else:
            self._answer_join(member)  # its answer of before was lost on the way
        return joined

    def sync(self, generation: int, member_id: str, assignments: list[MemberAssignment]) -> Synced:
        member = self._member(member_id, generation)
        if self.state is State.PREPARING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        _end(member.synced, ErrorCode.REBALANCE_IN_PROGRESS)
        synced = member.synced = self._loop.create_future()
        if self.state is State.STABLE:
            self._answer_sync(member)
        elif member_id == self.leader:
            assigned = {assignment.member_id: bytes(assignment.assignment) for assignment in assignments}
            for each in self.members.values():
                each.assignment = assigned.get(each.id, b"")
            self._set_state(State.STABLE)
            for each in self.members.values():
                self._answer_sync(each)
            # Who has joined but not asked for its assignment yet will get it from here on; its session runs.
        return synced

    def heartbeat(self, generation: int, member_id: str) -> None:
        member = self._member(member_id, generation)
        member.deadline = self._loop.time() + member.session_seconds
        if self.state is State.PREPARING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)

    def leave(self, member_id: str) -> None:
        self._remove(self._member(member_id), "it left")

    def check_commit(self, generation: int, member_id: str) -> None:
        """Only a member of this generation may commit; anybody may, with generation -1, while there are no members."""
        if generation < 0 and not self.members:
            return
        member = self._member(member_id, generation)
        if self.state is State.COMPLETING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        member.deadline = self._loop.time() + member.session_seconds

    def describe(self) -> DescribedGroup:
        stable = self.state is State.STABLE
        members = [
            DescribedMember(
                member.id,
                member.client_id,
                member.client_host,
                member.protocols.get(self.protocol, b"") if stable else b"",
                member.assignment if stable else b"",
            )
            for member in self.members.values()
        ]
        protocol = self.protocol if stable else ""
        return DescribedGroup(ErrorCode.NONE, self.id, self.state, self.protocol_type, protocol, members)

    def close(self) -> None:
        for member in self.members.values():
            if member.timer:
                member.timer.cancel()
        if self._timer:
            self._timer.cancel()

    # Members

    def _member(self, member_id: str, generation: int | None = None) -> Member:
        member = self.members.get(member_id)
        if member is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        if generation is not None and generation != self.generation:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        return member

    def _fits(self, protocol_type: str, protocols: dict[str, bytes], member_id: str) -> bool:
        """Whether all members would have a protocol in common."""
        others = [member for member in self.members.values() if member.id != member_id]
        if not protocols or not protocol_type:
            return False
        if not others:
            return True
        common = set(protocols).intersection(*(member.protocols for member in others))
        return protocol_type == self.protocol_type and bool(common)

    def _add_member(self, request: JoinGroupRequest, client_id: str, client_host: str) -> Member:
        session_seconds = request.session_timeout_ms / 1000
        rebalance_ms = request.rebalance_timeout_ms
        rebalance_seconds = rebalance_ms / 1000 if rebalance_ms >= 0 else session_seconds
        member_id = f"{client_id}-{uuid.uuid4()}"
        member = Member(member_id, client_id, client_host, session_seconds, rebalance_seconds, {})
        self.members[member_id] = member
        self._watch(member)
        return member

    def _remove(self, member: Member, why: str) -> None:
        if self.members.pop(member.id, None) is None:
            return
        logger.info("Group %s: %s is gone, %s.", self.id, member.id, why)
        if member.timer:
            member.timer.cancel()
        _end(member.joined, ErrorCode.UNKNOWN_MEMBER_ID)
        _end(member.synced, ErrorCode.UNKNOWN_MEMBER_ID)
        if self.state in (State.STABLE, State.COMPLETING_REBALANCE):
            self._prepare_rebalance()
        elif self.state is State.PREPARING_REBALANCE:
            self._complete_join_if_all_are_here()

    def _forget_if_gone(self, member: Member) -> None:
        """Its connection broke while it waited to join. Nobody can come back with an id that was never told."""
        if member.joined and member.joined.cancelled():
            member.joined = None
            member.deadline = self._loop.time() + member.session_seconds
            if not member.knows_its_id:
                self._remove(member, "its connection broke before it had joined")

    def _watch(self, member: Member) -> None:
        """A heartbeat only moves the deadline; the timer looks at it when it comes round."""
        now = self._loop.time()
        waits_for_us = any(waiting and not waiting.done() for waiting in (member.joined, member.synced))
        if waits_for_us or not member.deadline:
            member.deadline = now + member.session_seconds
        if member.deadline <= now:
            self._remove(member, f"no heartbeat for {member.session_seconds:g} s")
        else:
            member.timer = self._loop.call_at(member.deadline, self._watch, member)

    # The rebalance

    def _prepare_rebalance(self, *, wait_for_more: bool = False) -> None:
        for member in self.members.values():
            _end(member.synced, ErrorCode.REBALANCE_IN_PROGRESS)
        self._set_state(State.PREPARING_REBALANCE)
        if wait_for_more and self._settings.initial_rebalance_seconds:
            self._waits_for_more = True
            self._timer = self._loop.call_later(self._settings.initial_rebalance_seconds, self._stop_waiting_for_more)
        else:
            self._start_join_timer()
            self._complete_join_if_all_are_here()

    def _stop_waiting_for_more(self) -> None:
        self._waits_for_more = False
        self._start_join_timer()
        self._complete_join_if_all_are_here()

    def _start_join_timer(self) -> None:
        longest_seconds = max((member.rebalance_seconds for member in self.members.values()), default=0)
        self._timer = self._loop.call_later(longest_seconds, self._complete_join)

    def _complete_join_if_all_are_here(self) -> None:
        if not self._waits_for_more and all(member.joined for member in self.members.values()):
            self._complete_join()

    def _complete_join(self) -> None:
        """Begins the next generation with those who are here."""
        for member in [member for member in self.members.values() if not member.joined]:
            del self.members[member.id]
            logger.info("Group %s: %s is gone, it did not join in time.", self.id, member.id)
            if member.timer:
                member.timer.cancel()
        self.generation += 1
        if not self.members:
            self.protocol = self.leader = ""
            self._set_state(State.EMPTY)
            return
        self.protocol = self._most_wanted_protocol()
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        self._set_state(State.COMPLETING_REBALANCE)
        for member in self.members.values():
            member.synced = None
            self._answer_join(member)
        longest_seconds = max(member.rebalance_seconds for member in self.members.values())
        self._timer = self._loop.call_later(longest_seconds, self._stop_waiting_for_sync)

    def _stop_waiting_for_sync(self) -> None:
        for member in [member for member in self.members.values() if not member.synced]:
            self._remove(member, "it did not ask for its assignment in time")

    def _most_wanted_protocol(self) -> str:
        """Each member votes for the first of its protocols that all have."""
        members = self.members.values()
        common = set.intersection(*(set(member.protocols) for member in members))
        votes = [next(name for name in member.protocols if name in common) for member in members]
        return max(votes, key=votes.count)

    def _answer_join(self, member: Member) -> None:
        member.knows_its_id = True
        member.deadline = self._loop.time() + member.session_seconds
        known = []
        if member.id == self.leader:
            known = [JoinedMember(each.id, each.protocols[self.protocol]) for each in self.members.values()]
        joined, member.joined = member.joined, None
        if joined and not joined.done():
            joined.set_result(
                JoinGroupResponse(0, ErrorCode.NONE, self.generation, self.protocol, self.leader, member.id, known)
            )

    def _answer_sync(self, member: Member) -> None:
        if member.synced and not member.synced.done():
            member.deadline = self._loop.time() + member.session_seconds
            member.synced.set_result(SyncGroupResponse(0, ErrorCode.NONE, member.assignment))

    def _set_state(self, state: State) -> None:
        self.state = state
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._waits_for_more = False


def _end(waiting: Joined | Synced | None, code: ErrorCode) -> None:
    if waiting and not waiting.done():
        waiting.set_exception(KafkaError(code))

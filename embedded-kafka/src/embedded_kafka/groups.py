"""Consumer groups: who is a member, which generation it is, and who missed a heartbeat (the classic group protocol).

The states are Kafka's: Empty, PreparingRebalance (members join), CompletingRebalance (the leader assigns), Stable.
Memberships are not kept on disk: after a restart of the broker every member is unknown, and joins again by itself.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import ErrorCode, KafkaError
from .messages import Caller
from .settings import BrokerSettings
from .wire import Buffer

logger = logging.getLogger(__name__)

_NAME_CHARACTERS = 200  # of the client's in its member id

Answer = asyncio.Future[dict[str, Any]]


class State(StrEnum):
    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class Groups:
    """The coordinator of all groups."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> "Iterator[Group]":
        return iter(self._groups.values())

    def get(self, group_id: str) -> "Group | None":
        return self._groups.get(group_id)

    def known(self, group_id: str) -> "Group":
        if not group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        if group_id not in self._groups:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        return self._groups[group_id]

    def join(self, request: Any, caller: Caller) -> Answer:
        if not request.group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        session_seconds = request.session_timeout_ms / 1000
        if not self._settings.min_session_seconds <= session_seconds <= self._settings.max_session_seconds:
            raise KafkaError(ErrorCode.INVALID_SESSION_TIMEOUT)
        group = self._groups.get(request.group_id)
        if group is None:
            if request.member_id:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
            group = Group(request.group_id, self._settings.initial_rebalance_seconds)
        joined = group.join(request, caller)
        self._groups[request.group_id] = group
        return joined

    def check_commit(self, group_id: str, generation: int, member_id: str) -> None:
        group = self._groups.get(group_id)
        if group is not None:
            group.check_commit(generation, member_id)
        elif generation >= 0:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)

    def delete(self, group_id: str) -> None:
        group = self._groups.get(group_id)
        if group is not None and group.members:
            raise KafkaError(ErrorCode.NON_EMPTY_GROUP)
        self._groups.pop(group_id, None)

    def drop_empty(self) -> None:
        """A group without members is remembered by its committed offsets alone."""
        for group_id in [group.id for group in self if not group.members]:
            del self._groups[group_id]

    def close(self) -> None:
        for group in self:
            group.close()


@dataclass(eq=False)
class Member:
    id: str
    client_id: str
    client_host: str
    session_seconds: float = 0
    rebalance_seconds: float = 0
    protocols: dict[str, bytes] = field(default_factory=dict)
    assignment: bytes = b""
    deadline: float = 0
    joined: Answer | None = None
    """Set while the member waits for the others to join, and `synced` while it waits for the leader's assignment."""
    synced: Answer | None = None
    knows_its_id: bool = False
    timer: asyncio.TimerHandle | None = None


class Group:
    def __init__(self, group_id: str, initial_rebalance_seconds: float) -> None:
        self.id = group_id
        self.state = State.EMPTY
        self.generation = 0
        self.protocol_type = ""
        self.protocol = ""
        self.leader = ""
        self.members: dict[str, Member] = {}
        self._initial_rebalance_seconds = initial_rebalance_seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None  # until the rebalance must be over
        self._waits_for_more = False

    # What members ask

    def join(self, request: Any, caller: Caller) -> Answer:
        protocols = {protocol.name: bytes(protocol.metadata) for protocol in request.protocols}
        others = [member for member in self.members.values() if member.id != request.member_id]
        fits = not others or (request.protocol_type == self.protocol_type and _common(protocols, others))
        if not protocols or not request.protocol_type or not fits:
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        member = self._member(request.member_id) if request.member_id else self._add_member(caller)
        changed = member.protocols != protocols
        member.protocols = protocols
        member.session_seconds = request.session_timeout_ms / 1000
        member.rebalance_seconds = request.rebalance_timeout_ms / 1000
        self._has_been_heard(member)
        self.protocol_type = request.protocol_type
        _end_join(member, ErrorCode.REBALANCE_IN_PROGRESS)
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

    def sync(self, generation: int, member_id: str, assignments: dict[str, Buffer]) -> Answer:
        member = self._member(member_id, generation)
        if self.state is State.PREPARING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        _end_sync(member, ErrorCode.REBALANCE_IN_PROGRESS)
        synced = member.synced = self._loop.create_future()
        if self.state is State.STABLE:
            self._answer_sync(member)
        elif member_id == self.leader:
            self._set_state(State.STABLE)
            for each in self.members.values():
                each.assignment = bytes(assignments.get(each.id, b""))
                self._answer_sync(each)
            # Who has joined but not asked for its assignment yet will get it from here on; its session runs.
        return synced

    def heartbeat(self, generation: int, member_id: str) -> None:
        member = self._member(member_id, generation)
        self._has_been_heard(member)
        if self.state is State.PREPARING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)

    def leave(self, member_id: str) -> None:
        self._remove([self._member(member_id)], "it left")

    def check_commit(self, generation: int, member_id: str) -> None:
        """Only a member of this generation may commit; anybody may, with generation -1, while there are no members."""
        if generation < 0 and not self.members:
            return
        member = self._member(member_id, generation)
        if self.state is State.COMPLETING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        self._has_been_heard(member)

    def describe(self) -> dict[str, Any]:
        """What a member is interested in and was assigned is told of a stable group only, as in Kafka."""
        stable = self.state is State.STABLE
        members: list[dict[str, Any]] = []
        for each in self.members.values():
            members.append({"member_id": each.id, "client_id": each.client_id, "client_host": each.client_host})
            if stable:
                members[-1] |= {"metadata": each.protocols[self.protocol], "assignment": each.assignment}
        return {
            "group_id": self.id,
            "state": self.state,
            "protocol_type": self.protocol_type,
            "protocol": self.protocol if stable else "",
            "members": members,
        }

    def close(self) -> None:
        for timer in (self._timer, *(member.timer for member in self.members.values())):
            if timer:
                timer.cancel()

    # Members

    def _member(self, member_id: str, generation: int | None = None) -> Member:
        member = self.members.get(member_id)
        if member is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        if generation is not None and generation != self.generation:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        return member

    def _add_member(self, caller: Caller) -> Member:
        name = caller.client_id or ""
        member = Member(f"{name[:_NAME_CHARACTERS]}-{uuid.uuid4()}", name, caller.host)
        self.members[member.id] = member
        return member

    def _remove(self, members: Iterable[Member], why: str) -> None:
        for member in members:
            del self.members[member.id]
            logger.info("Group %s: %s is gone, %s.", self.id, member.id, why)
            if member.timer:
                member.timer.cancel()
            _end_join(member, ErrorCode.UNKNOWN_MEMBER_ID)
            _end_sync(member, ErrorCode.UNKNOWN_MEMBER_ID)
        if self.state in (State.STABLE, State.COMPLETING_REBALANCE):
            self._prepare_rebalance()
        elif self.state is State.PREPARING_REBALANCE:
            self._complete_join_if_all_are_here()

    def _forget_if_gone(self, member: Member) -> None:
        """Its connection broke while it waited to join. Nobody can come back with an id that was never told."""
        if member.joined and member.joined.cancelled():
            member.joined = None
            self._has_been_heard(member)
            if not member.knows_its_id and member.id in self.members:
                self._remove([member], "its connection broke before it had joined")

    def _has_been_heard(self, member: Member) -> None:
        """A heartbeat only moves the deadline; the timer looks at it when it comes round."""
        member.deadline = self._loop.time() + member.session_seconds
        if not member.timer or member.timer.when() > member.deadline:
            self._watch(member)

    def _watch(self, member: Member) -> None:
        if member.timer:
            member.timer.cancel()
        if any(waiting and not waiting.done() for waiting in (member.joined, member.synced)):
            member.deadline = self._loop.time() + member.session_seconds  # it is we who keep it waiting
        if member.deadline <= self._loop.time():
            self._remove([member], f"no heartbeat for {member.session_seconds:g} s")
        else:
            member.timer = self._loop.call_at(member.deadline, self._watch, member)

    # The rebalance

    def _prepare_rebalance(self, *, wait_for_more: bool = False) -> None:
        for member in self.members.values():
            _end_sync(member, ErrorCode.REBALANCE_IN_PROGRESS)
        self._set_state(State.PREPARING_REBALANCE)
        if wait_for_more and self._initial_rebalance_seconds:
            self._waits_for_more = True
            self._timer = self._loop.call_later(self._initial_rebalance_seconds, self._wait_for_all)
        else:
            self._wait_for_all()

    def _wait_for_all(self) -> None:
        self._waits_for_more = False
        self._timer = self._loop.call_later(self._longest_rebalance_seconds(), self._complete_join)
        self._complete_join_if_all_are_here()

    def _complete_join_if_all_are_here(self) -> None:
        if not self._waits_for_more and all(member.joined for member in self.members.values()):
            self._complete_join()

    def _complete_join(self) -> None:
        """Begins the next generation with those who are here."""
        self._set_state(State.EMPTY)
        self._remove([each for each in self.members.values() if not each.joined], "it did not join in time")
        self.generation += 1
        if not self.members:
            self.protocol = self.leader = ""
            return
        self.protocol = self._most_wanted_protocol()
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        self._set_state(State.COMPLETING_REBALANCE)
        for member in self.members.values():
            member.synced = None
            self._answer_join(member)
        self._timer = self._loop.call_later(self._longest_rebalance_seconds(), self._stop_waiting_for_sync)

    def _stop_waiting_for_sync(self) -> None:
        late = [member for member in self.members.values() if not member.synced]
        self._remove(late, "it did not ask for its assignment in time")

    def _longest_rebalance_seconds(self) -> float:
        return max((member.rebalance_seconds for member in self.members.values()), default=0)

    def _most_wanted_protocol(self) -> str:
        """Each member votes for the first of its protocols that all have."""
        first, *others = self.members.values()
        common = _common(first.protocols, others)
        votes = [next(name for name in member.protocols if name in common) for member in (first, *others)]
        return max(votes, key=votes.count)

    def _answer_join(self, member: Member) -> None:
        member.knows_its_id = True
        self._has_been_heard(member)
        answer = {
            "generation_id": self.generation,
            "protocol_name": self.protocol,
            "leader": self.leader,
            "member_id": member.id,
        }
        if member.id == self.leader:
            everybody = self.members.values()
            answer["members"] = [
                {"member_id": each.id, "metadata": each.protocols[self.protocol]} for each in everybody
            ]
        joined, member.joined = member.joined, None
        if joined and not joined.done():
            joined.set_result(answer)

    def _answer_sync(self, member: Member) -> None:
        if member.synced and not member.synced.done():
            self._has_been_heard(member)
            member.synced.set_result({"assignment": member.assignment})

    def _set_state(self, state: State) -> None:
        self.state = state
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._waits_for_more = False


def _common(protocols: Iterable[str], members: Iterable[Member]) -> set[str]:
    return set(protocols).intersection(*(member.protocols for member in members))


def _end_join(member: Member, code: ErrorCode) -> None:
    if member.joined and not member.joined.done():
        member.joined.set_result({"error_code": code, "member_id": member.id})


def _end_sync(member: Member, code: ErrorCode) -> None:
    if member.synced and not member.synced.done():
        member.synced.set_result({"error_code": code})

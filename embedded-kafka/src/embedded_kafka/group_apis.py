"""Requests of and about consumer groups: membership, committed offsets, and what an administrator asks."""

import asyncio
from typing import Any

from . import messages
from .caller import Caller
from .errors import ErrorCode, KafkaError
from .group import State
from .groups import Groups
from .identity import NODE_ID
from .offsets import CommittedOffsets
from .topics import Topics

_GROUP_COORDINATOR = 0
_MAX_METADATA_CHARACTERS = 4096
_NO_TRANSACTIONS = "There are no transactions in this broker."


class GroupApis:
    def __init__(self, groups: Groups, offsets: CommittedOffsets, topics: Topics) -> None:
        self._groups, self._offsets, self._topics = groups, offsets, topics

    def find_coordinator(
        self, request: messages.FindCoordinatorRequest, caller: Caller
    ) -> messages.FindCoordinatorResponse:
        if request.key_type != _GROUP_COORDINATOR:
            code = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            return messages.FindCoordinatorResponse(0, code, _NO_TRANSACTIONS, -1, "", -1)
        return messages.FindCoordinatorResponse(
            0, ErrorCode.NONE, None, NODE_ID, caller.broker_host, caller.broker_port
        )

    def join_group(
        self, request: messages.JoinGroupRequest, caller: Caller
    ) -> asyncio.Future[messages.JoinGroupResponse]:
        return self._groups.join(request, caller.client_id, caller.host)

    def sync_group(
        self, request: messages.SyncGroupRequest, caller: Caller
    ) -> asyncio.Future[messages.SyncGroupResponse]:
        group = self._groups.known(request.group_id)
        return group.sync(request.generation_id, request.member_id, request.assignments)

    def heartbeat(self, request: messages.HeartbeatRequest, caller: Caller) -> messages.ErrorResponse:
        self._groups.known(request.group_id).heartbeat(request.generation_id, request.member_id)
        return messages.ErrorResponse(0, ErrorCode.NONE)

    def leave_group(self, request: messages.LeaveGroupRequest, caller: Caller) -> messages.ErrorResponse:
        self._groups.known(request.group_id).leave(request.member_id)
        return messages.ErrorResponse(0, ErrorCode.NONE)

    def offset_commit(self, request: messages.OffsetCommitRequest, caller: Caller) -> messages.OffsetCommitResponse:
        wanted = [(topic.name, *partition) for topic in request.topics for partition in topic.partitions]
        codes = {}
        for name, index, offset, metadata in wanted:
            try:
                self._topics.partition(name, index)
                if offset < 0:
                    raise KafkaError(ErrorCode.INVALID_REQUEST)
                if len(metadata or "") > _MAX_METADATA_CHARACTERS:
                    raise KafkaError(ErrorCode.OFFSET_METADATA_TOO_LARGE)
                codes[name, index] = ErrorCode.NONE
            except KafkaError as error:
                codes[name, index] = error.code
        good = [
            (name, index, offset, metadata or "")
            for name, index, offset, metadata in wanted
            if codes[name, index] is ErrorCode.NONE
        ]
        try:
            if not request.group_id:
                raise KafkaError(ErrorCode.INVALID_GROUP_ID)
            self._groups.check_commit(request.group_id, request.generation_id, request.member_id)
            self._offsets.commit(request.group_id, good)
        except KafkaError as error:
            codes = dict.fromkeys(codes, error.code)
        answers = []
        for name, partitions in request.topics:
            answered = [messages.CommittedPartition(index, codes[name, index]) for index, _, _ in partitions]
            answers.append(messages.Topic(name, answered))
        return messages.OffsetCommitResponse(0, answers)

    def offset_fetch(self, request: messages.OffsetFetchRequest, caller: Caller) -> messages.OffsetFetchResponse:
        committed = self._offsets.of_group(request.group_id)
        asked: dict[str, list[int]] = {}
        if request.topics is None:
            for name, index in committed:
                asked.setdefault(name, []).append(index)
        else:
            asked = {topic.name: topic.partitions for topic in request.topics}
        answers = []
        for name, indexes in asked.items():
            found = [(index, *committed.get((name, index), (-1, ""))) for index in indexes]
            answers.append(messages.Topic(name, [messages.FetchedOffset(*each, ErrorCode.NONE) for each in found]))
        return messages.OffsetFetchResponse(0, answers)

    def describe_groups(
        self, request: messages.DescribeGroupsRequest, caller: Caller
    ) -> messages.DescribeGroupsResponse:
        answers = []
        for group_id in request.group_ids:
            group = self._groups.get(group_id)
            state = State.EMPTY if self._offsets.of_group(group_id) else State.DEAD
            unknown = messages.DescribedGroup(ErrorCode.NONE, group_id, state, "", "", [])
            answers.append(group.describe() if group else unknown)
        return messages.DescribeGroupsResponse(0, answers)

    def list_groups(self, request: messages.ListGroupsRequest, caller: Caller) -> messages.ListGroupsResponse:
        types = dict.fromkeys(self._offsets.groups(), "") | {group.id: group.protocol_type for group in self._groups}
        return messages.ListGroupsResponse(0, ErrorCode.NONE, [messages.ListedGroup(*each) for each in types.items()])

    def delete_groups(self, request: messages.DeleteGroupsRequest, caller: Caller) -> messages.DeleteGroupsResponse:
        answers = []
        for group_id in request.group_ids:
            try:
                if not self._groups.get(group_id) and not self._offsets.of_group(group_id):
                    raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
                self._groups.delete(group_id)
                self._offsets.forget_group(group_id)
                answers.append(messages.Deleted(group_id, ErrorCode.NONE))
            except KafkaError as error:
                answers.append(messages.Deleted(group_id, error.code))
        return messages.DeleteGroupsResponse(0, answers)


def failure(request: Any, error: KafkaError) -> Any:
    """The response that tells a refusal, for the APIs whose response has one error for all."""
    if isinstance(request, messages.JoinGroupRequest):
        return messages.JoinGroupResponse(0, error.code, -1, "", "", request.member_id, [])
    if isinstance(request, messages.SyncGroupRequest):
        return messages.SyncGroupResponse(0, error.code, b"")
    if isinstance(request, messages.HeartbeatRequest | messages.LeaveGroupRequest):
        return messages.ErrorResponse(0, error.code)
    raise TypeError(f"{type(request).__name__} answers its errors itself") from error

"""Requests of and about consumer groups: membership, committed offsets, and what an administrator asks."""

import asyncio
from typing import Any

from .errors import ErrorCode, KafkaError, answered
from .groups import Groups, State
from .identity import NODE_ID
from .messages import Caller
from .offsets import CommittedOffsets
from .topics import Topics

_GROUP_COORDINATOR = 0
_MAX_METADATA_CHARACTERS = 4096


class GroupApis:
    def __init__(self, groups: Groups, offsets: CommittedOffsets, topics: Topics) -> None:
        self._groups, self._offsets, self._topics = groups, offsets, topics

    def find_coordinator(self, request: Any, caller: Caller) -> dict[str, Any]:
        if request.key_type != _GROUP_COORDINATOR:
            why = "There are no transactions here."
            return {"error_code": ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "error_message": why}
        return {"node_id": NODE_ID, "host": caller.broker_host, "port": caller.broker_port}

    def join_group(self, request: Any, caller: Caller) -> dict[str, Any] | asyncio.Future[dict[str, Any]]:
        try:
            return self._groups.join(request, caller)
        except KafkaError as error:
            return {"error_code": error.code, "member_id": request.member_id}

    def sync_group(self, request: Any, caller: Caller) -> asyncio.Future[dict[str, Any]]:
        group = self._groups.known(request.group_id)
        return group.sync(request.generation_id, request.member_id, dict(request.assignments))

    def heartbeat(self, request: Any, caller: Caller) -> dict[str, Any]:
        self._groups.known(request.group_id).heartbeat(request.generation_id, request.member_id)
        return {}

    def leave_group(self, request: Any, caller: Caller) -> dict[str, Any]:
        self._groups.known(request.group_id).leave(request.member_id)
        return {}

    def offset_commit(self, request: Any, caller: Caller) -> dict[str, Any]:
        wanted = [(name, *partition) for name, partitions in request.topics for partition in partitions]
        codes = [self._offset_error(*each) for each in wanted]
        try:
            self._groups.check_commit(request.group_id, request.generation_id, request.member_id)
            good = [each for each, code in zip(wanted, codes, strict=True) if code is ErrorCode.NONE]
            self._offsets.commit(request.group_id, good)
        except KafkaError as error:
            codes = [error.code] * len(wanted)
        answers = [
            {"name": name, "partitions": [{"partition": index, "error_code": code}]}
            for (name, index, *_), code in zip(wanted, codes, strict=True)
        ]
        return {"topics": answers}

    def _offset_error(self, name: str, index: int, _: int, metadata: str | None) -> ErrorCode:
        if not self._topics.has(name, index):
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if len(metadata or "") > _MAX_METADATA_CHARACTERS:
            return ErrorCode.OFFSET_METADATA_TOO_LARGE
        return ErrorCode.NONE

    def offset_fetch(self, request: Any, caller: Caller) -> dict[str, Any]:
        committed = self._offsets.of_group(request.group_id)
        asked = [(topic.name, index) for topic in request.topics or () for index in topic.partitions]
        answers = []
        for name, index in dict.fromkeys(committed if request.topics is None else asked):
            offset, metadata = committed.get((name, index), (-1, ""))
            place = {"partition": index, "offset": offset, "metadata": metadata}
            answers.append({"name": name, "partitions": [place]})
        return {"topics": answers}

    def describe_groups(self, request: Any, caller: Caller) -> dict[str, Any]:
        answers = []
        for group_id in dict.fromkeys(request.group_ids):
            group = self._groups.get(group_id)
            state = State.EMPTY if self._offsets.of_group(group_id) else State.DEAD
            answers.append(group.describe() if group else {"group_id": group_id, "state": state})
        return {"groups": answers}

    def list_groups(self, request: Any, caller: Caller) -> dict[str, Any]:
        types = dict.fromkeys(self._offsets.groups(), "") | {group.id: group.protocol_type for group in self._groups}
        return {"groups": [{"group_id": group_id, "protocol_type": kind} for group_id, kind in types.items()]}

    def delete_groups(self, request: Any, caller: Caller) -> dict[str, Any]:
        return {
            "groups": [answered({"group_id": each}, self._delete, each) for each in dict.fromkeys(request.group_ids)]
        }

    def _delete(self, group_id: str) -> None:
        if not self._groups.get(group_id) and not self._offsets.of_group(group_id):
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
        self._groups.delete(group_id)
        self._offsets.forget_group(group_id)

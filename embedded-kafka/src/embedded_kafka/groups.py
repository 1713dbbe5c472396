"""The coordinator of all consumer groups."""

from collections.abc import Iterator

from .errors import ErrorCode, KafkaError
from .group import Group, Joined
from .messages import JoinGroupRequest
from .settings import BrokerSettings


class Groups:
    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def get(self, group_id: str) -> Group | None:
        return self._groups.get(group_id)

    def known(self, group_id: str) -> Group:
        group = self._groups.get(group_id)
        if group is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        return group

    def join(self, request: JoinGroupRequest, client_id: str, client_host: str) -> Joined:
        if not request.group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        session_seconds = request.session_timeout_ms / 1000
        if not self._settings.min_session_seconds <= session_seconds <= self._settings.max_session_seconds:
            raise KafkaError(ErrorCode.INVALID_SESSION_TIMEOUT)
        group = self._groups.get(request.group_id)
        if group is None:
            if request.member_id:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
            group = Group(request.group_id, self._settings)
        joined = group.join(request, client_id, client_host)
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

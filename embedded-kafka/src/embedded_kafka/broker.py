"""The broker put together: its folder, what is kept there, and which method does which API."""

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .group_apis import GroupApis
from .groups import Groups
from .identity import Identity
from .messages import APIS, Api, Caller
from .offsets import CommittedOffsets
from .record_apis import RecordApis
from .settings import BrokerSettings
from .topic_apis import TopicApis
from .topics import Topics

Handler = Callable[[Any, Caller], Any]  # gives the response, or a future of it, or None if there shall be none


class DataInUse(Exception):
    """Another broker works in this data folder."""


class Broker:
    """Raises DataInUse, DamagedLog, ValueError or OSError when its data folder can't be used."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.stopping = False
        data, fsync = settings.data, settings.fsync
        data.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(data / "lock")
        try:
            identity = Identity(data / "broker.json", fsync=fsync)
            self._topics = Topics(settings)
            self._offsets = CommittedOffsets(data / "offsets.jsonl", fsync=fsync)
        except BaseException:
            os.close(self._lock)
            raise
        self._groups = Groups(settings)
        self.handlers = _handlers(
            RecordApis(self._topics, identity, settings.max_fetch_bytes),
            TopicApis(self._topics, self._offsets, identity),
            GroupApis(self._groups, self._offsets, self._topics),
        )

    def housekeep(self) -> None:
        self._topics.retain()
        self._groups.drop_empty()

    def close(self) -> None:
        self._groups.close()
        self._topics.close()
        self._offsets.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    """Held while the file is open, and so let go by a process that is killed."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DataInUse(f"Another broker works in {path.parent}.") from error
    return lock


def _handlers(*owners: object) -> Mapping[tuple[int, int], tuple[Api, Handler]]:
    """By key and version: each API is done by the method of its name."""
    return {
        (api.key, api.version): (
            api,
            next(getattr(owner, api.method) for owner in owners if hasattr(owner, api.method)),
        )
        for api in APIS
    }

"""What the broker is called, and the producer ids it has given: never the same twice, also after a restart."""

import uuid
from pathlib import Path

from .files import read_json, replace_json

NODE_ID = 1


class Identity:
    def __init__(self, path: Path, *, fsync: bool) -> None:
        self._path, self._fsync = path, fsync
        stored = read_json(path, {"cluster_id": uuid.uuid4().hex, "next_producer_id": 0})
        self.cluster_id: str = stored["cluster_id"]
        self._next_producer_id: int = stored["next_producer_id"]
        self._save()

    def new_producer_id(self) -> int:
        producer_id = self._next_producer_id
        self._next_producer_id += 1
        self._save()
        return producer_id

    def _save(self) -> None:
        stored = {"cluster_id": self.cluster_id, "next_producer_id": self._next_producer_id}
        replace_json(self._path, stored, fsync=self._fsync)

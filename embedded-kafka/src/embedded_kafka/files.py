"""Writing so that a crash leaves what was acknowledged: appends that are whole or undone, files replaced as a whole."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from .errors import ErrorCode, KafkaError
from .wire import Buffer

logger = logging.getLogger(__name__)


def append(file: int, pieces: list[Buffer], *, size_bytes: int, fsync: bool) -> None:
    """To a file of that size, which it has again if this raises KafkaError."""
    try:
        written = os.writev(file, pieces)
        if written < sum(map(len, pieces)):
            raise OSError(f"only {written} bytes fitted")
        if fsync:
            os.fsync(file)
    except OSError as error:
        logger.error("Nothing can be written: %s", error)
        os.ftruncate(file, size_bytes)
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error


def read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_bytes()) if path.exists() else default


def replace(path: Path, content: bytes, *, fsync: bool) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        if fsync:
            file.flush()
            os.fsync(file.fileno())
    fresh.rename(path)
    if fsync:
        sync_folder(path.parent)


def replace_json(path: Path, value: Any, *, fsync: bool) -> None:
    replace(path, json.dumps(value, indent=1).encode() + b"\n", fsync=fsync)


def sync_folder(path: Path) -> None:
    """So that the names of its files are on the disk, too."""
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

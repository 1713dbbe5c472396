"""Small files that are replaced as a whole: after a crash there is the old one or the new one, never half."""

import json
import os
from pathlib import Path
from typing import Any


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
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def replace_json(path: Path, value: Any, *, fsync: bool) -> None:
    replace(path, json.dumps(value, indent=1).encode() + b"\n", fsync=fsync)

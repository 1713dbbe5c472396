"""The file of committed offsets: kept, cut where a crash tore it, and rewritten before it grows."""

from pathlib import Path

import pytest

from embedded_kafka import offsets
from embedded_kafka.offsets import Committed, CommittedOffsets, read_offsets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "offsets.jsonl"


def test_the_last_commit_of_each_partition_counts(path: Path) -> None:
    committed = CommittedOffsets(path, fsync=True)
    committed.commit("g", [("t", 0, 5, ""), ("t", 1, 7, "note")])
    committed.commit("g", [("t", 0, 6, "")])
    committed.commit("other", [("t", 0, 1, "")])
    committed.close()

    assert read_offsets(path) == {
        "g": {("t", 0): Committed(6, ""), ("t", 1): Committed(7, "note")},
        "other": {("t", 0): Committed(1, "")},
    }


def test_what_was_forgotten_stays_forgotten(path: Path) -> None:
    committed = CommittedOffsets(path, fsync=False)
    committed.commit("g", [("t", 0, 5, ""), ("u", 0, 7, "")])
    committed.commit("other", [("t", 0, 1, "")])
    committed.forget_topic("t")
    committed.commit("third", [("u", 0, 1, "")])
    committed.forget_group("third")
    committed.close()

    assert read_offsets(path) == {"g": {("u", 0): Committed(7, "")}}


def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(path: Path) -> None:
    committed = CommittedOffsets(path, fsync=False)
    committed.commit("g", [("t", 0, 5, "")])
    first_bytes = path.stat().st_size
    committed.commit("g", [("t", 0, 6, "é")])
    committed.close()
    content = path.read_bytes()

    for size_bytes in range(first_bytes, len(content)):
        path.write_bytes(content[:size_bytes])
        again = CommittedOffsets(path, fsync=False)
        assert again.of_group("g") == {("t", 0): Committed(5, "")}
        again.commit("g", [("t", 1, 1, "")])
        again.close()
        assert len(read_offsets(path)["g"]) == 2


def test_history_is_dropped_before_the_file_grows_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "_REWRITE_BYTES", 2000)
    committed = CommittedOffsets(path, fsync=False)
    largest_bytes = 0

    for offset in range(1000):
        committed.commit("g", [("t", offset % 3, offset, "")])
        largest_bytes = max(largest_bytes, path.stat().st_size)
    committed.close()

    assert largest_bytes < 3000
    assert read_offsets(path)["g"] == {("t", index): Committed(997 + (index + 2) % 3, "") for index in range(3)}

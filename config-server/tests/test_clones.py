"""The copy of a remote repository: it follows in one step, survives faults, and is made anew."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
from support.git_server import GitServer, git_server
from support.repositories import ConfigRepository

from config_server.clones import Clone
from config_server.errors import FetchFailed
from config_server.remotes import Credential, Remote, prepare_git
from config_server.sources import GitRepository, LabelUnknown


@pytest.fixture
def remote_server(repository: ConfigRepository, tmp_path: Path) -> Iterator[GitServer]:
    prepare_git(timeout_seconds=5, state=tmp_path / "state")
    repository.commit({"app.yml": "a: 1\n"})
    with git_server(repository.path) as server:
        yield server


@pytest.fixture
def clone(remote_server: GitServer, tmp_path: Path) -> Clone:
    return Clone(Remote(remote_server.uri), tmp_path / "clones")


class _Read:
    """Reads a clone as the server does."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.repository = GitRepository(clone.uri, self)

    @property
    def path(self) -> Path | None:
        return self.clone.path

    def suspect(self) -> None:
        self.clone.suspect()

    def missing_reason(self) -> str:
        return "not there"

    def text(self, path: str, *, label: str = "main") -> str:
        snapshot = self.repository.at(self.repository.commit_of(label))
        file = snapshot.find(path)
        assert file is not None
        data = snapshot.read(file, largest_bytes=1000)
        assert data is not None
        return data.decode()


def _folders(clone: Clone) -> list[str]:
    assert clone.path is not None
    return sorted(path.name for path in clone.path.parent.iterdir() if path.is_dir())


def test_the_first_update_clones_bare_and_for_nobody_else_to_see(clone: Clone) -> None:
    assert clone.path is None

    moved = clone.update()

    assert moved == ["refs/heads/main"]
    assert _Read(clone).text("app.yml") == "a: 1\n"
    assert clone.path is not None
    assert pygit2.Repository(str(clone.path)).is_bare
    assert stat.S_IMODE(clone.path.parent.stat().st_mode) == 0o700


def test_no_credential_is_written_to_disk(remote_server: GitServer, tmp_path: Path) -> None:
    remote_server.credential = ("robot", "s3cret")
    clone = Clone(Remote(remote_server.uri, Credential("robot", "s3cret")), tmp_path / "clones")

    clone.update()

    assert not [path for path in (tmp_path / "clones").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]


def test_labels_follow_the_remote(clone: Clone, repository: ConfigRepository) -> None:
    clone.update()
    repository.commit({"app.yml": "a: 2\n"})
    repository.commit({"app.yml": "a: 3\n"}, branch="next")
    repository.replay([{"tag": "v1", "message": "first"}])

    moved = clone.update()

    read = _Read(clone)
    assert moved == ["refs/heads/main", "refs/heads/next", "refs/tags/v1"]
    assert [read.text("app.yml", label=label) for label in ("main", "next", "v1")] == ["a: 2\n", "a: 3\n", "a: 2\n"]
    assert clone.update() == []


def test_a_branch_that_is_gone_is_gone_here_and_makes_room_for_one_below_its_name(
    clone: Clone, repository: ConfigRepository
) -> None:
    repository.commit({"app.yml": "a: 2\n"}, branch="feature")
    clone.update()
    repository.git.references.delete("refs/heads/feature")
    repository.commit({"app.yml": "a: 3\n"}, branch="feature/one")

    clone.update()

    read = _Read(clone)
    assert read.text("app.yml", label="feature/one") == "a: 3\n"
    with pytest.raises(LabelUnknown):
        read.repository.commit_of("feature")


def test_a_history_that_was_rewritten_is_followed(clone: Clone, repository: ConfigRepository) -> None:
    clone.update()
    repository.git.references.delete("refs/heads/main")
    repository.commit({"app.yml": "b: 1\n"}, message="anew")

    clone.update()

    assert _Read(clone).text("app.yml") == "b: 1\n"


def test_head_is_the_remotes_default_branch(clone: Clone, repository: ConfigRepository) -> None:
    repository.commit({"app.yml": "trunk: 1\n"}, branch="trunk")
    repository.git.set_head("refs/heads/trunk")

    clone.update()

    assert _Read(clone).text("app.yml", label="HEAD") == "trunk: 1\n"


@pytest.mark.parametrize("fault", ["refuse", "garbage", "cut"])
def test_a_fetch_that_fails_moves_nothing_and_the_next_one_catches_up(
    fault: str, clone: Clone, remote_server: GitServer, repository: ConfigRepository
) -> None:
    clone.update()
    before = clone.path
    repository.commit({"app.yml": "a: 2\n"})
    remote_server.fault = fault

    with pytest.raises(FetchFailed):
        clone.update()

    read = _Read(clone)
    assert read.text("app.yml") == "a: 1\n"
    remote_server.heal()
    clone.update()
    assert read.text("app.yml") == "a: 2\n"
    assert clone.path == before


def test_a_first_clone_that_fails_leaves_nothing_half_made(
    clone: Clone, remote_server: GitServer, tmp_path: Path
) -> None:
    remote_server.fault = "cut"

    with pytest.raises(FetchFailed):
        clone.update()

    assert clone.path is None
    assert not [path for path in (tmp_path / "clones").rglob("*") if path.is_dir() and path.name != path.parent.name][
        1:
    ]


def test_a_clone_kept_from_before_is_served_without_the_remote(
    clone: Clone, remote_server: GitServer, tmp_path: Path
) -> None:
    clone.update()
    remote_server.fault = "refuse"

    later = Clone(Remote(remote_server.uri), tmp_path / "clones")

    assert _Read(later).text("app.yml") == "a: 1\n"
    assert later.fetched_at() == clone.fetched_at() is not None
    with pytest.raises(FetchFailed):
        later.update()
    assert _Read(later).text("app.yml") == "a: 1\n"


class TestDamage:
    @pytest.mark.parametrize("damage", ["truncated pack", "missing pack", "torn reference", "no HEAD"])
    def test_a_damaged_clone_is_made_anew_beside_and_swapped(self, damage: str, clone: Clone) -> None:
        clone.update()
        read = _Read(clone)
        read.text("app.yml")
        before = clone.path
        assert before is not None
        _damage(before, damage)

        clone.suspect()
        clone.update()

        assert clone.path != before
        assert read.text("app.yml") == "a: 1\n"
        assert before.exists()  # somebody may be reading in it
        clone.update()
        assert not before.exists()

    def test_damage_is_found_at_the_start(self, clone: Clone, remote_server: GitServer, tmp_path: Path) -> None:
        clone.update()
        assert clone.path is not None
        _damage(clone.path, "truncated pack")

        later = Clone(Remote(remote_server.uri), tmp_path / "clones")
        later.update()

        assert _Read(later).text("app.yml") == "a: 1\n"

    def test_while_the_remote_is_away_a_damaged_clone_stays(self, clone: Clone, remote_server: GitServer) -> None:
        clone.update()
        before = clone.path
        assert before is not None
        _damage(before, "truncated pack")
        remote_server.fault = "refuse"
        clone.suspect()

        with pytest.raises(FetchFailed):
            clone.update()

        assert clone.path == before

    def test_what_a_crash_left_half_made_is_removed_and_links_are_not_followed(
        self, clone: Clone, tmp_path: Path
    ) -> None:
        clone.update()
        assert clone.path is not None
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("kept")
        (clone.path.parent / "new-abc").mkdir()
        (clone.path.parent / "new-link").symlink_to(precious)

        clone.update()

        assert _folders(clone) == ["1.git"]
        assert (precious / "file").read_text() == "kept"

    def test_a_clone_in_too_many_pieces_is_made_anew(
        self, clone: Clone, repository: ConfigRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("config_server.clones._MOST_PACKS", 3)
        for number in range(6):
            repository.commit({"app.yml": f"a: {number}\n"})
            clone.update()

        assert clone.path is not None
        assert clone.path.name == "2.git"
        assert _Read(clone).text("app.yml") == "a: 5\n"


def test_a_folder_that_can_not_be_written_is_said(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="for clones can't be made"):
        Clone(Remote("https://host/a.git"), tmp_path / "file")


def test_two_servers_share_a_folder(
    clone: Clone, remote_server: GitServer, repository: ConfigRepository, tmp_path: Path
) -> None:
    other = Clone(Remote(remote_server.uri), tmp_path / "clones")

    threads = [threading.Thread(target=each.update) for each in (clone, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert clone.path == other.path
    assert _folders(clone) == ["1.git"]


def test_readers_never_see_half_of_an_update(clone: Clone, repository: ConfigRepository) -> None:
    repository.commit({"app.yml": "a: 0\n", "b.yml": "b: 0\n"})
    clone.update()
    done = threading.Event()
    faults: list[str] = []
    seen = set()

    def read() -> None:
        reader = _Read(clone)
        while not done.is_set():
            snapshot = reader.repository.at(reader.repository.commit_of("main"))
            numbers = set()
            for path in ("app.yml", "b.yml"):
                file = snapshot.find(path)
                data = snapshot.read(file, largest_bytes=100) if file is not None else None
                numbers.add(None if data is None else data.decode().split()[1])
            if len(numbers) != 1:
                faults.append(str(numbers))
            seen.update(numbers)
            done.wait(0.001)  # or the two would leave no time to the one who updates

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 10):
        repository.commit({"app.yml": f"a: {number}\n", "b.yml": f"b: {number}\n"})
        clone.update()
    done.set()
    for thread in threads:
        thread.join(20)

    assert not faults
    assert len(seen) > 3


def _damage(path: Path, damage: str) -> None:
    pack = next((path / "objects" / "pack").glob("*.pack"))
    if damage == "truncated pack":
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:40])
    elif damage == "missing pack":
        pack.unlink()
    elif damage == "torn reference":
        (path / "refs" / "heads" / "main").write_text("0123")
    else:
        (path / "HEAD").unlink()

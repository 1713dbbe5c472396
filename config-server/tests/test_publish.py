"""A folder becomes a commit, once for each change, and whole or not at all."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pygit2
import pytest

from config_server.publish import NotPublishable, publish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "config-files"
    (folder / "shared").mkdir(parents=True)
    (folder / "application.yml").write_text("a: 1\n")
    (folder / "shared" / "app.yml").write_text("b: 1\n")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "run" / "config-repo"


def _files(target: Path, commit: str) -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(tree: pygit2.Tree, above: str) -> None:
        for entry in tree:
            if isinstance(entry, pygit2.Tree):
                walk(entry, f"{above}{entry.name}/")
            else:
                found[f"{above}{entry.name}"] = entry.peel(pygit2.Blob).data.decode()

    walk(pygit2.Repository(str(target))[commit].peel(pygit2.Tree), "")
    return found


def _tip(target: Path) -> str:
    return str(pygit2.Repository(str(target)).lookup_reference("refs/heads/main").target)


def test_a_folder_is_committed_to_main_of_a_new_bare_repository(folder: Path, target: Path) -> None:
    commit = publish(folder, target)

    assert _files(target, commit) == {"application.yml": "a: 1\n", "shared/app.yml": "b: 1\n"}
    repository = pygit2.Repository(str(target))
    assert repository.is_bare
    assert repository.lookup_reference("HEAD").target == "refs/heads/main"
    assert _tip(target) == commit


def test_an_unchanged_folder_makes_no_commit(folder: Path, target: Path) -> None:
    first = publish(folder, target)

    (folder / "application.yml").touch()

    assert publish(folder, target) == first


def test_a_change_makes_a_commit_on_top_that_names_what_changed(folder: Path, target: Path) -> None:
    first = publish(folder, target)

    (folder / "shared" / "app.yml").unlink()
    (folder / "new.yml").write_text("c: 1\n")
    second = publish(folder, target)

    assert _files(target, second) == {"application.yml": "a: 1\n", "new.yml": "c: 1\n"}
    commit = pygit2.Repository(str(target))[second].peel(pygit2.Commit)
    assert [str(parent) for parent in commit.parent_ids] == [first]
    assert commit.message == "Publish new.yml, shared/app.yml"


def test_hidden_files_and_backups_stay_out(folder: Path, target: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[core]\n")
    (folder / ".application.yml.swp").write_text("x")
    (folder / "application.yml~").write_text("x")

    assert set(_files(target, publish(folder, target))) == {"application.yml", "shared/app.yml"}


def test_a_symbolic_link_is_refused_and_nothing_changes(folder: Path, target: Path) -> None:
    first = publish(folder, target)
    (folder / "application.yml").write_text("a: 2\n")
    (folder / "shared" / "passwd.yml").symlink_to("/etc/passwd")

    with pytest.raises(NotPublishable, match="symbolic link"):
        publish(folder, target)

    assert _tip(target) == first


def test_a_missing_folder_and_a_repository_that_is_a_file_are_told_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotPublishable, match="no folder"):
        publish(tmp_path / "none", tmp_path / "repo")
    (tmp_path / "file").write_text("")
    with pytest.raises((NotPublishable, OSError)):
        publish(folder, tmp_path / "file")


def test_a_repository_that_a_crash_left_half_made_is_completed(folder: Path, target: Path) -> None:
    publish(folder, target)
    (target / "HEAD").unlink()

    commit = publish(folder, target)

    assert _tip(target) == commit


def test_a_lock_that_a_crash_left_behind_does_not_stay_in_the_way(folder: Path, target: Path) -> None:
    first = publish(folder, target)
    lock = target / "refs" / "heads" / "main.lock"
    lock.touch()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    (folder / "application.yml").write_text("a: 2\n")

    second = publish(folder, target)

    assert second != first
    assert _tip(target) == second


def test_publishers_at_the_same_time_make_one_line_of_commits(folder: Path, target: Path) -> None:
    publish(folder, target)

    def change(number: int) -> str:
        (folder / f"f{number}.yml").write_text(f"n: {number}\n")
        return publish(folder, target)

    with ThreadPoolExecutor(4) as pool:
        commits = set(pool.map(change, range(8)))

    repository = pygit2.Repository(str(target))
    line = [str(commit.id) for commit in repository.walk(repository.lookup_reference("refs/heads/main").target)]
    assert commits <= set(line)
    assert len(_files(target, line[0])) == 10

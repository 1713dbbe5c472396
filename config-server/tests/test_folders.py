"""A plain folder as the source: each of its states is one commit, and half of a state is none."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pygit2
import pytest
from chassis.settings import SettingsInvalid
from support.server import Answer, RunningServer, running_whole

from config_server import folders
from config_server.clones import Clone
from config_server.errors import FetchFailed
from config_server.folders import Folder
from config_server.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "app.yml").write_text("a: 1\n")
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[RunningServer]:
    with serving(folder) as server:
        yield server


def serving(folder: Path, **fields: str) -> AbstractContextManager[RunningServer]:
    return running_whole(folder=str(folder), watch_seconds="0.05", anonymous="true", **fields)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def served(server: RunningServer, path: str = "/app/default") -> Answer:
    """The answer, once there is one."""
    wait_until(lambda: server.ask("/actuator/health/readiness").status == 200)
    return server.ask(path)


class TestTheServer:
    def test_serves_the_files_under_the_names_that_spring_gives_them(self, server: RunningServer, folder: Path) -> None:
        answer = served(server)

        assert answer.values() == {"a": 1}
        assert answer.json()["propertySources"][0]["name"] == f"file:{folder}/app.yml"
        assert len(answer.json()["version"]) == 40
        assert served(server, "/app/default/main").values() == {"a": 1}
        assert served(server, "/app/default/nowhere").status == 404

    def test_serves_what_is_written_and_remembers_what_was_there_before(
        self, server: RunningServer, folder: Path
    ) -> None:
        before = served(server)
        tag = {"If-None-Match": before.headers["etag"]}
        assert server.ask("/app/default", headers=tag).status == 304
        (folder / "app.yml").write_text("a: 2\n")

        wait_until(lambda: server.ask("/app/default").values() == {"a": 2})

        assert server.ask("/app/default", headers=tag).status == 200
        earlier = server.ask(f"/app/default/{before.json()['version']}")
        assert earlier.values() == {"a": 1}
        explained = server.ask("/explain/app/default?key=a").json()["keys"][0]
        assert explained["set_by"]["file"] == "app.yml"

    def test_goes_on_with_the_last_good_state_while_a_file_is_half_written(
        self, server: RunningServer, folder: Path
    ) -> None:
        served(server)
        (folder / "app.yml").write_text("a: [2,\n")

        wait_until(lambda: "x-config-stale" in server.ask("/app/default").headers)
        assert server.ask("/app/default").values() == {"a": 1}

        (folder / "app.yml").write_text("a: [2,\n3]\n")
        wait_until(lambda: server.ask("/app/default").values() == {"a[0]": 2, "a[1]": 3})

    def test_never_mixes_two_states_of_the_folder(self, server: RunningServer, folder: Path) -> None:
        """C2 for a folder: of files that change together, all or none are new."""
        served(server)
        writes = True

        def write() -> None:
            number = 0
            while writes:
                number += 1
                for name in ("app.yml", "application.yml", "app-default.yml"):
                    (folder / name).write_text(f"{name.partition('.')[0]}: {number}\n")
                time.sleep(0.25)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen: set[tuple[int, ...]] = set()
            deadline = time.monotonic() + 15
            while len(seen) < 4:
                assert time.monotonic() < deadline, "what is written is not served"
                values = server.ask("/app/default").values()
                if "a" not in values:
                    seen.add(tuple(values.values()))
        finally:
            writes = False
            writer.join()
        assert all(len(set(numbers)) == 1 and len(numbers) == 3 for numbers in seen)

    def test_does_not_believe_a_folder_that_is_empty_or_gone(self, server: RunningServer, folder: Path) -> None:
        served(server)
        (folder / "app.yml").unlink()

        wait_until(lambda: b"There are no files" in server.ask("/actuator/health").body)
        folder.rmdir()
        wait_until(lambda: b"There is no folder" in server.ask("/actuator/health").body)

        assert server.ask("/app/default").values() == {"a": 1}
        assert server.ask("/actuator/health/readiness").status == 200

    def test_has_the_state_from_before_it_was_started_again(self, folder: Path) -> None:
        with serving(folder) as server:
            version = served(server).json()["version"]
        (folder / "app.yml").write_text("a: [\n")

        with serving(folder) as server:
            assert server.ask("/app/default").json()["version"] == version

    def test_is_told_where_there_is_no_folder_or_also_a_repository(self, folder: Path) -> None:
        with pytest.raises(SettingsInvalid, match="there is no folder /nowhere"):
            Settings.of({"config-server.folder": "/nowhere", "config-server.anonymous": True})
        with pytest.raises(SettingsInvalid, match="not both"):
            Settings.of(
                {"config-server.folder": folder, "config-server.git-uri": "/a", "config-server.anonymous": True}
            )


class TestFolder:
    @pytest.fixture
    def clone(self, folder: Path, tmp_path: Path) -> Clone:
        return Clone(Folder(folder, label="main"), tmp_path / "clones")

    def names(self, clone: Clone) -> list[str]:
        clone.update()
        tree = pygit2.Repository(str(clone.path)).revparse_single("main").peel(pygit2.Tree)
        index = pygit2.Index()
        index.read_tree(tree)
        return [entry.path for entry in index]

    def test_a_config_map_of_kubernetes_is_read_through_its_links(self, folder: Path, clone: Clone) -> None:
        for version in ("..1", "..2"):
            (folder / version / "team").mkdir(parents=True)
            (folder / version / "b.yml").write_text(f"b: {version}\n")
            (folder / version / "team/c.yml").write_text("c: 1\n")
        (folder / "..data").symlink_to("..1")
        (folder / "b.yml").symlink_to("..data/b.yml")
        (folder / "team").symlink_to("..data/team")
        assert self.names(clone) == ["app.yml", "b.yml", "team/c.yml"]

        (folder / "..new").symlink_to("..2")
        (folder / "..new").rename(folder / "..data")
        clone.update()

        assert pygit2.Repository(str(clone.path)).revparse_single("main:b.yml").data == b"b: ..2\n"  # type: ignore[attr-defined]  # a blob

    @pytest.mark.parametrize(
        ("target", "sentence"), [("/etc/hostname", "leads out of"), (".", "leads back"), ("nothing", "No such file")]
    )
    def test_a_link_that_leads_elsewhere_is_refused(
        self, folder: Path, clone: Clone, target: str, sentence: str
    ) -> None:
        (folder / "link.yml").symlink_to(target)

        with pytest.raises(FetchFailed, match=sentence):
            clone.update()

    def test_what_is_no_file_is_refused(self, folder: Path, clone: Clone) -> None:
        os.mkfifo(folder / "pipe.yml")
        with pytest.raises(FetchFailed, match=r"pipe\.yml in the folder .* is neither"):
            clone.update()
        (folder / "pipe.yml").unlink()
        with (folder / "large.bin").open("wb") as large:
            large.truncate(17 * 1_048_576)
        with pytest.raises(FetchFailed, match="larger than 16 MiB"):
            clone.update()

    def test_hidden_files_and_backups_are_left_out(self, folder: Path, clone: Clone) -> None:
        for name in (".secret.yml", "app.yml~", "sub"):
            (folder / name).mkdir() if name == "sub" else (folder / name).write_text("a: 2\n")

        assert self.names(clone) == ["app.yml"]

    def test_c2_what_changes_while_it_is_read_is_read_again(
        self, folder: Path, clone: Clone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "b.yml").write_text("b: 1\n")
        read, changes = folders._read, ["2"]

        def read_and_change(file: folders._Seen) -> bytes:
            content = read(file)
            if changes:
                number = changes.pop()
                (folder / "app.yml").write_text(f"a: {number}\n")
                (folder / "b.yml").write_text(f"b: {number}\n")
            return content

        monkeypatch.setattr(folders, "_read", read_and_change)
        clone.update()

        git = pygit2.Repository(str(clone.path))
        found = [git.revparse_single(f"main:{name}") for name in ("app.yml", "b.yml")]
        assert [blob.data for blob in found if isinstance(blob, pygit2.Blob)] == [b"a: 2\n", b"b: 2\n"]

    def test_what_did_not_change_is_no_new_commit(self, folder: Path, clone: Clone) -> None:
        assert clone.update() == ["refs/heads/main"]
        (folder / "app.yml").write_text("a: 1\n")

        assert clone.update() == []

    def test_a_clone_that_is_damaged_is_made_anew(self, folder: Path, clone: Clone) -> None:
        clone.update()
        assert clone.path is not None
        before = clone.path
        for file in (clone.path / "objects").rglob("*"):
            if file.is_file():
                file.unlink()
        clone.suspect()

        assert self.names(clone) == ["app.yml"]
        assert clone.path != before

"""config-files are published when they change."""

from pathlib import Path

import pygit2
import pytest

from fleet.publish import Publisher
from fleet.state import FleetProblem, Home


def _published(home: Home) -> tuple[str, str]:
    """The commit, and what application.yml is at it."""
    commit = pygit2.Repository(str(home.config_repository)).revparse_single("main").peel(pygit2.Commit)
    return str(commit.id), commit.tree["application.yml"].peel(pygit2.Blob).data.decode()


@pytest.fixture
def publisher(home: Home) -> Publisher:
    publisher = Publisher(home.config_files, home.config_repository)
    publisher.publish()
    return publisher


def test_a_changed_file_is_a_new_commit(home: Home, publisher: Publisher) -> None:
    first, _ = _published(home)
    (home.config_files / "application.yml").write_text("log:\n  level: WARNING\n")

    publisher.publish_if_changed()

    second, content = _published(home)
    assert second != first
    assert "WARNING" in content


def test_nothing_changed_is_no_new_commit(home: Home, publisher: Publisher) -> None:
    first = _published(home)
    (home.config_files / "application.yml").touch()

    publisher.publish_if_changed()

    assert _published(home) == first


def test_what_can_not_be_published_leaves_what_there_is(
    home: Home, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    first = _published(home)
    (home.config_files / "link.yml").symlink_to("/etc/hostname")

    publisher.publish_if_changed()

    assert _published(home) == first
    assert "config-files can't be published" in caplog.text


def test_a_project_without_config_files_can_not_start(tmp_path: Path) -> None:
    with pytest.raises(FleetProblem, match="config-files can't be published: There is no folder"):
        Publisher(tmp_path / "config-files", tmp_path / "repository").publish()

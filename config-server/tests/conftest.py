"""A repository to serve, and a server over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running


@pytest.fixture
def repository(tmp_path: Path) -> ConfigRepository:
    return ConfigRepository(tmp_path / "config.git")


@pytest.fixture
def server(repository: ConfigRepository) -> Iterator[RunningServer]:
    """A server over `repository`, open to everybody."""
    with running(git_uri=str(repository.path), anonymous="true") as server:
        yield server

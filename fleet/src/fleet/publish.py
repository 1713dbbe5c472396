"""Publishes config-files into the repository that config-server reads: at start, and whenever a file changes."""

import logging
from pathlib import Path

from .state import FleetProblem

logger = logging.getLogger(__name__)


class Publisher:
    """Looks at the files' names, sizes and times, which is cheap enough to do every second."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self._folder = folder
        self._repository = repository
        self._seen: frozenset[tuple[str, int, int]] = frozenset()

    def publish(self) -> None:
        """Raises FleetProblem that says why it can't be done."""
        # Imported here: libgit2 is not needed before.
        from config_server.publish import NotPublishable, publish

        self._seen = self._look()
        try:
            logger.info("config-files are published as commit %s", publish(self._folder, self._repository))
        except (NotPublishable, OSError) as error:
            raise FleetProblem(f"config-files can't be published: {error}") from error

    def publish_if_changed(self) -> None:
        """What can't be published is logged: config-server goes on with what it has."""
        if self._look() == self._seen:
            return
        try:
            self.publish()
        except FleetProblem as problem:
            logger.error("%s", problem)

    def _look(self) -> frozenset[tuple[str, int, int]]:
        found = set()
        for path in self._folder.rglob("*"):
            try:
                status = path.stat()
            except OSError:
                continue  # gone in this moment
            found.add((str(path), status.st_mtime_ns, status.st_size))
        return frozenset(found)

"""The fleet's PostgreSQL as one of the parts that are kept running, and the databases in it."""

import signal
from collections.abc import Mapping

from chassis.local_postgres import LocalPostgres

from .plan import Part
from .state import Home
from .watch import Kept


class KeptPostgres(Kept):
    """PostgreSQL with a database and a role for each service."""

    end_by = signal.SIGINT  # its fast shutdown: SIGTERM would wait for every client

    def __init__(self, part: Part, home: Home) -> None:
        log = home.log_of(part.name)
        self._server = LocalPostgres(home.data / "postgres", part.port, log_file=log, die_with_parent=True)
        super().__init__(part, lambda _: self._server.begin(), log)

    @property
    def url(self) -> str:
        """The superuser's."""
        return self._server.url()

    def make_files(self) -> None:
        """Make its files where there are none, which takes a while; starting it does that, too."""
        self._server.make_cluster()

    def end_leftover(self) -> None:
        """End a server that a killed supervisor has left behind."""
        self._server.stop()

    def is_ready(self) -> bool:
        return self._server.is_ready()

    def ensure_databases(self, passwords: Mapping[str, str]) -> None:
        """Raises OSError with what the server said."""
        for name, password in passwords.items():
            self._server.ensure_database(name, name, password)

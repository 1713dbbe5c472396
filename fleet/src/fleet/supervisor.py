"""The process in the background that starts the fleet, keeps it running, and ends it."""

import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import nursery
from .kafka import KeptKafka
from .plan import ADMIN_EMAIL, AUTH_SERVICE, GATEWAY, KAFKA, POSTGRES, Options, Part, Plan, make_plan
from .postgres import KeptPostgres
from .processes import ProcessId
from .publish import Publisher
from .reach import ThroughTheGateway
from .report import Report, write_fleet_file
from .spawn import spawn
from .state import LOG_NAME, FleetProblem, Home, Secrets
from .watch import Kept, Running, Watch, end_leftovers

logger = logging.getLogger(__name__)

_START_SECONDS = 90.0
_OPEN_FILES = 16_384
_LOCK_SECONDS = 0.5  # `fleet status` and the like hold it for a moment to see whether it is free


def main() -> None:
    """`python -m fleet.supervisor <project folder> <options as JSON>`; what goes wrong stands in the report."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.Formatter.converter = time.gmtime  # as the services' logs have it
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each plugin when it is imported
    _allow_many_connections()
    home = Home(Path(sys.argv[1]))
    options = Options.from_json(sys.argv[2])
    if not run(home, lambda: make_plan(home, options, Secrets(home.secrets_file))):
        sys.exit(1)


def _allow_many_connections() -> None:
    """The usual limit of 1024 open files is soon reached by a gateway, and every child inherits it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def run(home: Home, plan: Callable[[], Plan]) -> bool:
    """Run the planned fleet until SIGTERM or SIGINT; False if it could not be started (then nothing is left)."""
    with home.lock(patience_seconds=_LOCK_SECONDS) as is_ours:
        if not is_ours:
            logger.warning("a supervisor runs in %s already", home.run)
            return True
        return Fleet(home).run(plan)


class Fleet:
    """The running fleet of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        me = ProcessId.of(os.getpid())
        self._report = Report(supervisor=me.pid, supervisor_started=me.started)
        self._plan: Plan | None = None
        self._database_url = ""
        self._watch = Watch(home.pids, self._tell)

    def run(self, plan: Callable[[], Plan]) -> bool:
        began = time.monotonic()
        publisher = Publisher(self._home.config_files, self._home.config_repository)
        try:
            self._tell()
            end_leftovers(self._home.pids)
            self._plan = plan()
            self._start(self._plan, publisher)
            if not self._watch.is_stopping:
                self._report.phase = "ready"
                self._report.ready_after_seconds = round(time.monotonic() - began, 2)
                self._tell()
                logger.info("everything is ready after %.2f s", self._report.ready_after_seconds)
                self._watch.keep(also=publisher.publish_if_changed)
        except (FleetProblem, OSError) as problem:
            logger.error("%s", problem)
            self._report.problem = str(problem)
        except Exception as error:
            logger.exception("the supervisor failed")
            self._report.problem = f"The supervisor failed ({error!r}); {self._home.log_of(LOG_NAME)} has the details."
        finally:
            self._end()
        return not self._report.problem

    def _start(self, plan: Plan, publisher: Publisher) -> None:
        """Start everything, each part once what it is forked from is there: one core imports while another starts."""
        is_nursery = sys.platform == "linux"
        start = self._fork if is_nursery else self._spawn
        no_python = {part.name: part for part in plan.parts if not part.entry}
        postgres = KeptPostgres(no_python[POSTGRES], self._home) if POSTGRES in no_python else None
        kafka = KeptKafka(no_python[KAFKA], self._home) if KAFKA in no_python else None
        programs = [one for one in (postgres, kafka) if one is not None]
        kept = [Kept(part, start, self._home.log_of(part.name)) for part in plan.parts if part.entry]
        self._report.processes = [one.report for one in (*programs, *kept)]
        self._tell()

        if postgres is not None:
            postgres.end_leftover()
        making = [nursery.run_beside(program.make_files) for program in programs] if is_nursery else []
        publisher.publish()
        if is_nursery:
            nursery.import_what_servers_share()
        self._watch.begin(*(one for one in kept if one.part.name not in plan.databases))
        for beside in making:
            beside.wait()  # if that failed, the next line fails with the reason
        self._watch.begin(*programs)
        if is_nursery:
            nursery.import_what_services_share()
        if postgres is not None:
            self._watch.wait_until(lambda: postgres.report.condition == "ready", _START_SECONDS)
            if self._watch.is_stopping:
                return
            postgres.ensure_databases(plan.databases)
            self._database_url = postgres.url
        self._watch.begin(*(one for one in kept if one.part.name in plan.databases))
        is_reached = self._reached(plan)
        self._watch.wait_until(lambda: self._watch.is_ready() and is_reached(), _START_SECONDS)

    def _reached(self, plan: Plan) -> Callable[[], bool]:
        services = [part.name for part in plan.parts if part.is_registered]
        gateway = plan.part(GATEWAY)
        if gateway is None or AUTH_SERVICE not in services:
            return lambda: True
        return ThroughTheGateway(gateway.port, services, ADMIN_EMAIL, plan.admin_password).reaches_all

    def _fork(self, part: Part) -> Running:
        return self._with_log(part, nursery.fork)

    def _spawn(self, part: Part) -> Running:
        return self._with_log(part, spawn)

    def _with_log(self, part: Part, start: Callable[[Part, int], Running]) -> Running:
        log = self._home.open_log(part.name)
        try:
            return start(part, log)
        finally:
            os.close(log)

    def _tell(self) -> None:
        try:
            if self._report.phase == "ready" and self._plan is not None:
                # Before the report, whose word that all is ready makes people read it.
                write_fleet_file(self._home, self._plan, self._report.processes, self._database_url)
            self._report.write(self._home)
        except OSError as error:
            if self._report.phase == "starting":
                raise
            logger.error("what runs can't be told, but goes on: %s", error)

    def _end(self) -> None:
        self._report.phase = "stopping"
        self._home.fleet_file.unlink(missing_ok=True)
        self._watch.stop()
        if self._report.problem:
            self._report.phase = "failed"
            self._tell()
        else:
            self._home.report_file.unlink(missing_ok=True)
        logger.info("everything has ended")


if __name__ == "__main__":
    main()

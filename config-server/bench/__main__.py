"""`python -m bench [--quick] [--only ours]`: both servers in turn, and the table on standard output."""

import tempfile
from pathlib import Path

from chassis.testing.bench.command import Command, Step, tell
from chassis.testing.bench.processes import CannotStart

from .files import ConfigFiles
from .measures import FULL, QUICK, Effort, Round, measure
from .report import report
from .servers import OURS, SPRING, built_spring_server


def main() -> int:
    """Answers the exit code."""
    command = Command[Round, Effort](
        "Measures config-server, beside Spring's.",
        efforts={True: QUICK, False: FULL},
        rounds=lambda effort: effort.rounds,
        report=report,
    )
    with tempfile.TemporaryDirectory(prefix="bench-config-") as folder:
        spring = None
        if not command.only_ours:
            tell("Maven builds Spring's server")
            try:
                spring = built_spring_server(Path(folder))
            except CannotStart as error:
                return command.cannot_start(error)

        def measure_one(name: str, step: Step) -> Round:
            files = ConfigFiles(Path(tempfile.mkdtemp(dir=folder)))
            return measure(name, files, spring, command.effort, step)

        return command.run([OURS] if command.only_ours else [OURS, SPRING], measure_one)


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m bench [--quick] [--only ours]`: both servers in turn, and the tables on standard output."""

import os
import tempfile
from pathlib import Path

from chassis.testing.bench.command import Command, Step, tell
from chassis.testing.bench.processes import CannotStart

from .measures import FULL, QUICK, Effort, Round, measure
from .report import report
from .servers import CLIENTS_PROCESSOR, EUREKA, OURS, built_eureka


def main() -> int:
    """Answers the exit code."""
    command = Command[Round, Effort](
        "Measures discovery-server, beside Eureka.",
        efforts={True: QUICK, False: FULL},
        rounds=lambda effort: effort.rounds,
        report=report,
    )
    with tempfile.TemporaryDirectory(prefix="bench-discovery-") as folder:
        eureka = None
        if not command.only_ours:
            tell("Maven builds Spring's server")
            try:
                eureka = built_eureka(Path(folder))
            except CannotStart as error:
                return command.cannot_start(error)
        if CLIENTS_PROCESSOR is not None:
            os.sched_setaffinity(0, {CLIENTS_PROCESSOR})

        def measure_one(name: str, step: Step) -> Round:
            return measure(name, eureka, command.effort, step)

        return command.run([OURS] if command.only_ours else [OURS, EUREKA], measure_one)


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m bench [--quick] [--only ours]`: both servers in turn, and the tables on standard output."""

import argparse
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import NoReturn

from chassis.testing.bench.load import LoadFailed
from chassis.testing.bench.processes import CannotStart

from .measures import FULL, QUICK, Round, measure
from .report import faults, report
from .servers import CLIENTS_PROCESSOR, EUREKA, OURS, built_eureka


def main() -> int:
    """0: measured; 1: measured, and an answer was wrong, or the load failed; 2: a server can't be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures discovery-server, beside Eureka.")
    parser.add_argument("--quick", action="store_true", help="two minutes for each server instead of several")
    parser.add_argument("--rounds", type=int, default=0, help="how often each server is started and measured")
    parser.add_argument("--only", choices=["ours"], help="without Spring's server, which needs Java 17 and Maven")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _stop)

    load_average = os.getloadavg()[0]
    rounds: dict[str, list[Round]] = {OURS: []}
    with tempfile.TemporaryDirectory(prefix="bench-discovery-") as folder:
        try:
            eureka = None
            if not arguments.only:
                _tell("Maven builds Spring's server")
                eureka = built_eureka(Path(folder))
                rounds[EUREKA] = []
            if CLIENTS_PROCESSOR is not None:
                os.sched_setaffinity(0, {CLIENTS_PROCESSOR})
            for number in range(arguments.rounds or effort.rounds):
                for name, lives in rounds.items():
                    lives.append(measure(name, eureka, effort, partial(_tell_step, number + 1)))
        except CannotStart as error:
            _tell(f"a server can't be had: {error}. `--only ours` measures without Spring's.")
            return 2
        except LoadFailed as error:
            _tell(f"{error}.")
            return 1
    command = " ".join(["python -m bench", *sys.argv[1:]])
    sys.stdout.write(report(rounds, effort, command, load_average) + "\n")
    found = faults(rounds)
    for fault in found:
        _tell(fault)
    return 1 if found else 0


def _tell(what: str) -> None:
    sys.stderr.write(f"bench: {what}\n")
    sys.stderr.flush()


def _tell_step(round_number: int, what: str) -> None:
    _tell(f"round {round_number}: {what}")


def _stop(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the servers are stopped on the way out


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m bench [--quick] [--only embedded]`: both brokers in turn, and the tables on standard output."""

import argparse
import os
import signal
import sys
from functools import partial
from typing import NoReturn

from .brokers import APACHE, EMBEDDED, CannotStart
from .measures import FULL, QUICK, Round, measure
from .report import faults, report
from .worker import WorkerFailed


def main() -> int:
    """0: measured; 1: measured, and a record was lost, doubled or out of order, or failed; 2: a broker can't be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures embedded-kafka and Apache Kafka.")
    parser.add_argument("--quick", action="store_true", help="a minute instead of several")
    parser.add_argument("--rounds", type=int, default=0, help="how often each broker is started and measured")
    parser.add_argument("--only", choices=["embedded"], help="without Apache Kafka")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    names = [EMBEDDED] if arguments.only else [EMBEDDED, APACHE]
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _stop)

    load_average = os.getloadavg()[0]
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    for number in range(arguments.rounds or effort.rounds):
        for name in reversed(names):  # Apache Kafka first: it is the one that may be missing
            try:
                rounds[name].append(measure(name, effort, partial(_tell_step, number + 1)))
            except CannotStart as error:
                _tell(f"{name} can't be started: {error}. `--only embedded` measures without Apache Kafka.")
                return 2
            except WorkerFailed as error:
                _tell(f"{name}: {error}.")
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
    raise SystemExit(128 + number)  # so that brokers and clients are stopped on the way out


if __name__ == "__main__":
    raise SystemExit(main())

"""The command of a bench: servers measured in turn, tables on standard output, what happens on standard error."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, NoReturn, Protocol, TypeVar

from .load import LoadFailed
from .processes import CannotStart


class Life(Protocol):
    """One life of a server, measured."""

    faults: list[str]
    """The answers that were not the right ones."""


Round = TypeVar("Round", bound=Life)
Effort = TypeVar("Effort")
Step = Callable[[str], None]


class Command(Generic[Round, Effort]):
    """`python -m bench [--quick] [--rounds N] [--only ours]`."""

    def __init__(
        self,
        description: str,
        *,
        efforts: Mapping[bool, Effort],  # by whether it has to be quick
        rounds: Callable[[Effort], int],
        report: Callable[[dict[str, list[Round]], Effort, str, float], str],
    ) -> None:
        self._report = report
        self._load_average = os.getloadavg()[0]
        parser = argparse.ArgumentParser(prog="python -m bench", description=description)
        parser.add_argument("--quick", action="store_true", help="a minute or two instead of many")
        parser.add_argument("--rounds", type=int, default=0, help="how often each server is started and measured")
        parser.add_argument("--only", choices=["ours"], help="without Spring's server, which needs Java 17 and Maven")
        arguments = parser.parse_args()
        self.effort = efforts[arguments.quick]
        self.only_ours = arguments.only is not None
        self._rounds = arguments.rounds or rounds(self.effort)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, _stop)

    def run(self, names: Sequence[str], measure: Callable[[str, Step], Round]) -> int:
        """Measure the servers of these names, one after the other, again and again; `measure` tells its steps.

        Answers the exit code. 0: measured; 1: measured, and an answer was wrong, or the load failed; 2: a server can't
        be had.
        """
        measured: dict[str, list[Round]] = {name: [] for name in names}
        try:
            for number in range(self._rounds):
                for name, lives in measured.items():
                    lives.append(measure(name, partial(_tell_step, number + 1)))
        except CannotStart as error:
            return self.cannot_start(error)
        except LoadFailed as error:
            tell(f"{error}.")
            return 1
        command = " ".join(["python -m bench", *sys.argv[1:]])
        sys.stdout.write(self._report(measured, self.effort, command, self._load_average) + "\n")
        found = _faults(measured)
        for fault in found:
            tell(fault)
        return 1 if found else 0

    def cannot_start(self, error: CannotStart) -> int:
        """Say so; answers the exit code."""
        tell(f"a server can't be had: {error}. `--only ours` measures without Spring's.")
        return 2


def tell(what: str) -> None:
    """Say what happens."""
    sys.stderr.write(f"bench: {what}\n")
    sys.stderr.flush()


def _faults(rounds: Mapping[str, Sequence[Life]]) -> list[str]:
    """A sentence for each life of a server that gave an answer which was not the right one."""
    return [
        f"{name}: {len(life.faults)} wrong answers, the first of them {life.faults[0]}"
        for name, lives in rounds.items()
        for life in lives
        if life.faults
    ]


def _tell_step(round_number: int, what: str) -> None:
    tell(f"round {round_number}: {what}")


def _stop(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the servers are stopped on the way out

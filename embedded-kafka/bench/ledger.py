"""The books of a run: whether each numbered record came, once, and in its stream's order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    def __add__(self, other: "Faults") -> "Faults":
        return Faults(self.lost + other.lost, self.doubled + other.doubled, self.reordered + other.reordered)

    def __bool__(self) -> bool:
        return self != Faults()

    def __str__(self) -> str:
        return f"{self.lost} / {self.doubled} / {self.reordered}"


class Ledger:
    """Records of a stream (one producer's in one partition) are numbered from 0, and each note costs constant time."""

    def __init__(self, streams: int, records: int) -> None:
        self._next = [0] * streams
        self._skipped: set[tuple[int, int]] = set()
        self._doubled = self._reordered = 0
        self.missing = records

    def note(self, stream: int, number: int) -> None:
        expected = self._next[stream]
        if number >= expected:
            if number > expected:
                self._skipped.update((stream, skipped) for skipped in range(expected, number))
            self._next[stream] = number + 1
            self.missing -= 1
        elif (stream, number) in self._skipped:
            self._skipped.remove((stream, number))
            self._reordered += 1
            self.missing -= 1
        else:
            self._doubled += 1

    def faults(self) -> Faults:
        return Faults(self.missing, self._doubled, self._reordered)

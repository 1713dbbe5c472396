"""The document of many applications in pieces that are kept, so that a change costs the making of one of them."""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from discovery_server.registry.instance import Instance
from discovery_server.wire.form import Form

# At 10,000 instances a piece is some 200 kB, whether these are few large applications or many small ones.
_PIECES = 64
_LONGEST_TURN_SECONDS = 0.005  # then it is others' turn

Read = Callable[[str], Sequence[Instance]]


@dataclass(slots=True)
class _Piece:
    """Some of the applications, with what was written of them."""

    applications: dict[str, Sequence[Instance]] = field(default_factory=dict)
    fragments: dict[int, tuple[Instance, bytes]] = field(default_factory=dict)  # by the identity of the instance
    body: bytes = b""


class Pieces:
    """Follows a set of applications. Instances are written once, and joined again where one of them changes."""

    def __init__(self, form: Form, lender: "Pieces | None" = None) -> None:
        """`lender`: another document in the same form; what it has written is not written again."""
        self._form = form
        self._lender = lender
        self._pieces = [_Piece() for _ in range(_PIECES)]
        self._marks: dict[str, object] = {}

    async def follow(self, marks: Callable[[], Mapping[str, object]], read: Read) -> None:
        """Bring it up to date. `marks` tell an application's state from another one of it.

        Writing thousands of instances anew takes turns with others; what changes meanwhile is written as well. It is
        up to date when this returns: the last step takes no turns.
        """
        await self._write_ahead(marks(), read)
        current = marks()
        changed = self._changed(current)
        gone = self._marks.keys() - current.keys()
        for app in changed:
            self._piece_of(app).applications[app] = read(app)
        for app in gone:
            del self._piece_of(app).applications[app]
        for piece in {id(piece): piece for piece in map(self._piece_of, (*changed, *gone))}.values():
            self._join(piece)
        if changed or gone:
            self._marks = dict(current)

    def bodies(self) -> list[bytes]:
        """The applications as they stand in the document; the same objects again for pieces that haven't changed."""
        separator = self._form.codec.SEPARATOR
        return [part for piece in self._pieces if piece.body for part in (separator, piece.body)][1:]

    def application(self, app: str) -> Sequence[Instance]:
        """As it stands in the document; empty if it doesn't."""
        return self._piece_of(app).applications.get(app, ())

    def applications(self) -> Iterator[tuple[str, Sequence[Instance]]]:
        """All of them. The same objects again for applications that haven't changed."""
        for piece in self._pieces:
            yield from piece.applications.items()

    def fragments(self, app: str, instances: Iterable[Instance]) -> list[bytes]:
        """What was written of some instances of an application."""
        return [self._written(self._piece_of(app), instance) for instance in instances]

    async def _write_ahead(self, marks: Mapping[str, object], read: Read) -> None:
        began = perf_counter()
        for app in self._changed(marks):
            piece = self._piece_of(app)
            for instance in read(app):
                piece.fragments[id(instance)] = (instance, self._written(piece, instance))
                if perf_counter() - began > _LONGEST_TURN_SECONDS:
                    await asyncio.sleep(0)
                    began = perf_counter()

    def _changed(self, marks: Mapping[str, object]) -> list[str]:
        return [app for app, mark in marks.items() if self._marks.get(app) != mark]

    def _join(self, piece: _Piece) -> None:
        written: dict[int, tuple[Instance, bytes]] = {}
        entries = []
        codec = self._form.codec
        for app, instances in piece.applications.items():
            for instance in instances:
                written[id(instance)] = (instance, self._written(piece, instance))
            entries.append(codec.write_entry(app, [written[id(instance)][1] for instance in instances]))
        piece.fragments = written  # without those that are gone
        piece.body = codec.SEPARATOR.join(entries)

    def _written(self, piece: _Piece, instance: Instance) -> bytes:
        known = piece.fragments.get(id(instance))
        if known is None and self._lender is not None:
            known = self._lender._piece_of(instance.app).fragments.get(id(instance))
        return known[1] if known is not None else self._form.codec.write_fragment(instance, compact=self._form.compact)

    def _piece_of(self, app: str) -> _Piece:
        return self._pieces[zlib.crc32(app.encode()) % _PIECES]

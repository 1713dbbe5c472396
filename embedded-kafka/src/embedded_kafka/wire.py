"""Kafka's primitive types, and codecs compiled from schemas in a short form of the protocol guide's notation.

`id:string? topics:[name:string partitions:[int32]] wait_ms:int32=-1` has three fields with their types. `[...]` is an
array, of primitives or of structures; `?` may be null. A message is decoded into named tuples and encoded from dicts; a
field that is left out is null, empty, or zero, or what follows its `=`. See https://kafka.apache.org/protocol.
"""

import re
import struct
from collections import deque, namedtuple
from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

Buffer = bytes | bytearray | memoryview

_NUMBERS = {"int8": ">b", "int16": ">h", "int32": ">i", "int64": ">q", "bool": ">?"}
_LENGTHS = {"string": struct.Struct(">h"), "bytes": struct.Struct(">i")}
_COUNT = struct.Struct(">i")
_FRAME = struct.Struct(">ii")
_MAX_ELEMENTS = 100_000  # of an array: a client's few bytes must not become many of ours


class Malformed(Exception):
    """The bytes are not what the protocol says; the connection that sent them is beyond repair."""


class Codec(NamedTuple):
    read: Callable[[bytes, int], tuple[Any, int]]  # message and position -> value and the position after it
    write: Callable[[Any, list[Buffer]], None]
    left_out: Any = None
    fixed: struct.Struct | None = None
    """The layout of a number."""

    def decode(self, message: bytes, position: int = 0) -> tuple[Any, int]:
        """The value, and the position after it."""
        try:
            return self.read(message, position)
        except (struct.error, UnicodeDecodeError) as error:
            raise Malformed(str(error)) from error

    def encode(self, value: Any) -> list[Buffer]:
        """In pieces, so that record batches need not be copied."""
        pieces: list[Buffer] = []
        self.write(value, pieces)
        return pieces


def schema(text: str) -> Codec:
    return _structure(deque(re.findall(r"-?\w+|\S", text)))


def response_frame(correlation_id: int, body: list[Buffer]) -> list[Buffer]:
    return [_FRAME.pack(sum(map(len, body)) + 4, correlation_id), *body]


def _structure(tokens: deque[str]) -> Codec:
    """Neighbouring fields of fixed size are packed and unpacked in one go."""
    fields: dict[str, Codec] = {}
    while tokens and tokens[0] != "]":
        name, _ = tokens.popleft(), tokens.popleft()
        fields[name] = _type(tokens)
        if _next_is(tokens, "="):
            fields[name] = fields[name]._replace(left_out=int(tokens.popleft()))
    steps: list[tuple[slice, Codec | struct.Struct]] = []
    for is_fixed, run in groupby(enumerate(fields.values()), lambda field: field[1].fixed is not None):
        found = list(run)
        if is_fixed:
            layout = struct.Struct(">" + "".join(each.fixed.format[1:] for _, each in found if each.fixed))
            steps.append((slice(found[0][0], found[-1][0] + 1), layout))
        else:
            steps += [(slice(index, index + 1), each) for index, each in found]
    left_out = {name: codec.left_out for name, codec in fields.items()}
    structure: Any = namedtuple("Structure", list(fields))  # type: ignore[misc]  # its fields are known only now

    def read(message: bytes, at: int) -> tuple[Any, int]:
        values: list[Any] = []
        for _, how in steps:
            if isinstance(how, struct.Struct):
                values += how.unpack_from(message, at)
                at += how.size
            else:
                value, at = how.read(message, at)
                values.append(value)
        return structure._make(values), at

    def write(value: dict[str, Any], pieces: list[Buffer]) -> None:
        complete = left_out | value
        if len(complete) > len(left_out):
            raise TypeError(f"no such fields: {', '.join(value.keys() - left_out.keys())}")
        values = [*complete.values()]
        for where, how in steps:
            if isinstance(how, struct.Struct):
                pieces.append(how.pack(*values[where]))
            else:
                how.write(values[where.start], pieces)

    return Codec(read, write)


def _type(tokens: deque[str]) -> Codec:
    kind = tokens.popleft()
    if kind == "[":
        element = _structure(tokens) if tokens[1] == ":" else _type(tokens)
        tokens.popleft()
        return _array(element, _next_is(tokens, "?"))
    if kind in _NUMBERS:
        return _number(struct.Struct(_NUMBERS[kind]))
    return _text_or_bytes(kind, _next_is(tokens, "?"))


def _next_is(tokens: deque[str], token: str) -> bool:
    return bool(tokens) and tokens[0] == token and bool(tokens.popleft())


def _number(fixed: struct.Struct) -> Codec:
    return Codec(
        lambda message, at: (fixed.unpack_from(message, at)[0], at + fixed.size),
        lambda value, pieces: pieces.append(fixed.pack(value)),
        0,
        fixed,
    )


def _text_or_bytes(kind: str, nullable: bool) -> Codec:
    prefix = _LENGTHS[kind]
    null = prefix.pack(-1)

    def read(message: bytes, at: int) -> tuple[str | Buffer | None, int]:
        (length,) = prefix.unpack_from(message, at)
        at += prefix.size
        if length == -1 and nullable:
            return None, at
        if not 0 <= length <= len(message) - at:
            raise Malformed(f"a field of {length} bytes in {len(message) - at}")
        end = at + length
        return (message[at:end].decode() if kind == "string" else memoryview(message)[at:end]), end

    def write(value: str | Buffer | None, pieces: list[Buffer]) -> None:
        raw = value.encode() if isinstance(value, str) else value
        pieces += (null,) if raw is None else (prefix.pack(len(raw)), raw)

    return Codec(read, write, None if nullable else b"")


def _array(element: Codec, nullable: bool) -> Codec:
    def read(message: bytes, at: int) -> tuple[list[Any] | None, int]:
        (count,) = _COUNT.unpack_from(message, at)
        at += _COUNT.size
        if count == -1 and nullable:
            return None, at
        # No element is shorter than a byte, so a count beyond what is left can only be a lie.
        if not 0 <= count <= min(len(message) - at, _MAX_ELEMENTS):
            raise Malformed(f"an array of {count} elements in {len(message) - at} bytes")
        values = []
        for _ in range(count):
            value, at = element.read(message, at)
            values.append(value)
        return values, at

    def write(values: list[Any] | None, pieces: list[Buffer]) -> None:
        pieces.append(_COUNT.pack(-1 if values is None else len(values)))
        for value in values or ():
            element.write(value, pieces)

    return Codec(read, write, None if nullable else ())

"""Kafka's primitive types, and codecs compiled from typed tuples, one for each version of a message.

A message is a NamedTuple whose fields are annotated with the types below, in the order of the protocol guide
(https://kafka.apache.org/protocol). A field marked `Since(n, default)` is read and written from version n on; in
older versions it reads as its default. So the rest of the broker knows only the newest form of each message.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

Int8 = Annotated[int, "b"]
Int16 = Annotated[int, "h"]
Int32 = Annotated[int, "i"]
Int64 = Annotated[int, "q"]
Boolean = Annotated[bool, "?"]
String = Annotated[str, "string"]
NullableString = Annotated[str | None, "string"]
Bytes = Annotated[bytes | bytearray | memoryview, "bytes"]
NullableBytes = Annotated[bytes | bytearray | memoryview | None, "bytes"]

Buffer = bytes | bytearray | memoryview
Decoder = Callable[[bytes, int], tuple[Any, int]]  # message and position -> value and the position after it
Encoder = Callable[[Any, list[Buffer]], None]

_MAX_ELEMENTS = 100_000  # of an array: a client's few bytes must not become many of ours
_LENGTH_16 = struct.Struct(">h")
_LENGTH_32 = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")


@dataclass(frozen=True)
class Since:
    """The version in which a field came, and what it means in the versions before."""

    version: int
    default: Any = None


class Malformed(Exception):
    """The bytes are not what the protocol says; the connection that sent them is beyond repair."""


@dataclass(frozen=True)
class RequestHeader:
    api_key: int
    version: int
    correlation_id: int


def read_header(message: bytes) -> tuple[RequestHeader, str, int]:
    """The header, the client's id, and where the body begins (request header v1)."""
    try:
        header = RequestHeader(*_HEADER.unpack_from(message))
        client_id, position = _decode_string(message, _HEADER.size, nullable=True)
    except (struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"no request header: {error}") from error
    return header, client_id or "", position


def decode(kind: type, version: int, message: bytes, position: int = 0) -> Any:
    try:
        return _decoder(kind, version)(message, position)[0]
    except (struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"not a {kind.__name__} of version {version}: {error}") from error


def encode(value: Any, version: int) -> list[Buffer]:
    """The message in pieces, so that record batches need not be copied."""
    pieces: list[Buffer] = []
    _encoder(type(value), version)(value, pieces)  # type: ignore[arg-type]  # mypy: type[Any] is no Hashable
    return pieces


def response_frame(correlation_id: int, body: list[Buffer]) -> list[Buffer]:
    return [_HEAD.pack(sum(map(len, body)) + 4, correlation_id), *body]


_HEAD = struct.Struct(">ii")


# Decoding


@cache
def _decoder(hint: Any, version: int) -> Decoder:
    plain, code, nullable = _kind(hint)
    if code == "string":
        return lambda message, at: _decode_string(message, at, nullable=nullable)
    if code == "bytes":
        return lambda message, at: _decode_bytes(message, at, nullable=nullable)
    if code:
        one = struct.Struct(">" + code)
        return lambda message, at: (one.unpack_from(message, at)[0], at + one.size)
    if get_origin(plain) is list:
        return _array_decoder(get_args(plain)[0], nullable, version)
    return _tuple_decoder(plain, version)


def _tuple_decoder(kind: Any, version: int) -> Decoder:
    """Neighbouring fields of fixed size are unpacked in one go."""
    steps: list[tuple[struct.Struct | None, Decoder | None, Any]] = []
    run = ">"
    for _, hint, since in _fields(kind):
        present = since is None or version >= since.version
        code = _kind(hint)[1]
        if present and code and len(code) == 1:
            run += code
            continue
        if run != ">":
            steps.append((struct.Struct(run), None, None))
            run = ">"
        steps.append((None, _decoder(hint, version) if present else None, since and since.default))
    if run != ">":
        steps.append((struct.Struct(run), None, None))
    make = kind._make

    def decode_tuple(message: bytes, at: int) -> tuple[Any, int]:
        values: list[Any] = []
        for fixed, decoder, default in steps:
            if fixed is not None:
                values += fixed.unpack_from(message, at)
                at += fixed.size
            elif decoder is not None:
                value, at = decoder(message, at)
                values.append(value)
            else:
                values.append(default)
        return make(values), at

    return decode_tuple


def _array_decoder(element: Any, nullable: bool, version: int) -> Decoder:
    decode_one = _decoder(element, version)
    fixed = _fixed(element, version)

    def decode_array(message: bytes, at: int) -> tuple[list[Any] | None, int]:
        (count,) = _LENGTH_32.unpack_from(message, at)
        at += 4
        if count == -1 and nullable:
            return None, at
        # No element is shorter than a byte, so a count beyond what is left can only be a lie.
        if not 0 <= count <= min(len(message) - at, _MAX_ELEMENTS):
            raise Malformed(f"an array of {count} elements in {len(message) - at} bytes")
        if fixed and count:
            end = at + count * fixed.size
            return list(map(element._make, fixed.iter_unpack(message[at:end]))), end
        values = []
        for _ in range(count):
            value, at = decode_one(message, at)
            values.append(value)
        return values, at

    return decode_array


def _fixed(element: Any, version: int) -> struct.Struct | None:
    """The layout of a tuple all of whose fields are there in this version, and of fixed size."""
    if not hasattr(element, "_fields"):
        return None
    fields = _fields(element)
    codes = [_kind(hint)[1] or "" for _, hint, since in fields if since is None or version >= since.version]
    return struct.Struct(">" + "".join(codes)) if [len(code) for code in codes] == [1] * len(fields) else None


def _decode_string(message: bytes, at: int, *, nullable: bool) -> tuple[str | None, int]:
    (length,) = _LENGTH_16.unpack_from(message, at)
    at += 2
    if length == -1 and nullable:
        return None, at
    if not 0 <= length <= len(message) - at:
        raise Malformed(f"a string of {length} bytes in {len(message) - at}")
    return message[at : at + length].decode(), at + length


def _decode_bytes(message: bytes, at: int, *, nullable: bool) -> tuple[memoryview | None, int]:
    (length,) = _LENGTH_32.unpack_from(message, at)
    at += 4
    if length == -1 and nullable:
        return None, at
    if not 0 <= length <= len(message) - at:
        raise Malformed(f"{length} bytes in {len(message) - at}")
    return memoryview(message)[at : at + length], at + length


# Encoding


@cache
def _encoder(hint: Any, version: int) -> Encoder:
    plain, code, _ = _kind(hint)
    if code == "string":
        return _encode_string
    if code == "bytes":
        return _encode_bytes
    if code:
        one = struct.Struct(">" + code)
        return lambda value, pieces: pieces.append(one.pack(value))
    if get_origin(plain) is list:
        return _array_encoder(_encoder(get_args(plain)[0], version))
    return _tuple_encoder(plain, version)


def _tuple_encoder(kind: Any, version: int) -> Encoder:
    """As in decoding: neighbours of fixed size are packed in one go."""
    steps: list[tuple[slice, struct.Struct] | tuple[int, Encoder]] = []
    run, start = ">", 0

    def end_run(index: int) -> None:
        nonlocal run
        if run != ">":
            steps.append((slice(start, index), struct.Struct(run)))
            run = ">"

    fields = _fields(kind)
    for index, (_, hint, since) in enumerate(fields):
        present = since is None or version >= since.version
        code = _kind(hint)[1]
        if present and code and len(code) == 1:
            start = index if run == ">" else start
            run += code
            continue
        end_run(index)
        if present:
            steps.append((index, _encoder(hint, version)))
    end_run(len(fields))

    def encode_tuple(value: Any, pieces: list[Buffer]) -> None:
        for where, how in steps:
            if isinstance(how, struct.Struct):
                pieces.append(how.pack(*value[where]))
            else:
                how(value[where], pieces)

    return encode_tuple


def _array_encoder(encode_one: Encoder) -> Encoder:
    def encode_array(values: list[Any] | None, pieces: list[Buffer]) -> None:
        pieces.append(_LENGTH_32.pack(-1 if values is None else len(values)))
        for value in values or ():
            encode_one(value, pieces)

    return encode_array


def _encode_string(value: str | None, pieces: list[Buffer]) -> None:
    if value is None:
        pieces.append(b"\xff\xff")
    else:
        raw = value.encode()
        pieces += (_LENGTH_16.pack(len(raw)), raw)


def _encode_bytes(value: Buffer | None, pieces: list[Buffer]) -> None:
    if value is None:
        pieces.append(b"\xff\xff\xff\xff")
    else:
        pieces += (_LENGTH_32.pack(len(value)), value)


# Reading the annotations


def _kind(hint: Any) -> tuple[Any, str | None, bool]:
    """The plain type, the code of a primitive (of one letter when its size is fixed), and whether it may be null."""
    plain, marks = (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())
    code = next((mark for mark in marks if isinstance(mark, str)), None)
    nullable = get_origin(plain) is UnionType and type(None) in get_args(plain)
    if nullable and not code:
        plain = next(part for part in get_args(plain) if part is not type(None))
    return plain, code, nullable


def _fields(kind: Any) -> list[tuple[str, Any, Since | None]]:
    hints = get_type_hints(get_origin(kind) or kind, include_extras=True)
    for name, hint in hints.items():
        if get_origin(kind) and getattr(hint, "__parameters__", ()):
            hints[name] = hint[get_args(kind)]  # list[Partition] in a Topic[FetchPartition]
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    since = {name: next((mark for mark in marks[name] if isinstance(mark, Since)), None) for name in hints}
    return [(name, hints[name], since[name]) for name in kind._fields]

"""The codecs: every message there and back, and nothing but Malformed for what is none."""

import contextlib
import random
import re
import struct
from typing import Any

import pytest

from embedded_kafka.messages import _TABLE, APIS, HEADER, Api
from embedded_kafka.wire import Codec, Malformed, schema

NUMBERS = {
    "bool": (0, 1),
    **{f"int{8 * size}": (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) for size in (1, 2, 4, 8)},
}
SCHEMAS = [text for entry in _TABLE.strip().split("\n\n") for text in entry.partition("\n")[2].split("->")]


def name(api: Api) -> str:
    return api.name


def made_up(tokens: list[str], chance: random.Random) -> dict[str, Any]:
    """A value for each of the structure's fields, whose schema's tokens are consumed."""
    value = {}
    while tokens and tokens[0] != "]":
        field = tokens.pop(0)
        tokens.pop(0)
        value[field] = made_up_field(tokens, chance)
        if tokens[:1] == ["="]:
            del tokens[:2]
    return value


def made_up_field(tokens: list[str], chance: random.Random) -> Any:
    kind = tokens.pop(0)
    if kind == "[":
        element = list(tokens)
        depth = 1
        while depth:
            depth += {"[": 1, "]": -1}.get(tokens.pop(0), 0)
        make = made_up if element[1] == ":" else made_up_field
        value: Any = [make(list(element), chance) for _ in range(chance.randrange(4))]
    elif kind in NUMBERS:
        return chance.randint(*NUMBERS[kind])
    else:
        value = chance.choice(["", "topic", "é" * 40]) if kind == "string" else chance.randbytes(chance.randrange(20))
    if tokens[:1] == ["?"]:
        tokens.pop(0)
        return None if chance.random() < 0.3 else value
    return value


def plain(value: Any) -> Any:
    """What was decoded, in the form of what was encoded."""
    if hasattr(value, "_asdict"):
        return {field: plain(each) for field, each in value._asdict().items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.parametrize("text", SCHEMAS)
def test_every_message_comes_back_as_it_was(text: str) -> None:
    chance = random.Random(1)
    codec = schema(text)
    for _ in range(20):
        value = made_up(re.findall(r"-?\w+|\S", text), chance)

        encoded = b"".join(codec.encode(value))

        decoded, end = codec.decode(encoded)
        assert (plain(decoded), end) == (value, len(encoded))


@pytest.mark.parametrize("text", SCHEMAS)
def test_what_is_cut_off_or_damaged_is_malformed_or_another_message_but_never_anything_else(text: str) -> None:
    chance = random.Random(2)
    codec = schema(text)
    for _ in range(150):
        encoded = bytearray(b"".join(codec.encode(made_up(re.findall(r"-?\w+|\S", text), chance))))
        for _ in range(chance.randrange(3) if encoded else 0):
            encoded[chance.randrange(len(encoded))] = chance.randrange(256)
        message = bytes(encoded[: chance.randint(0, len(encoded))])
        with contextlib.suppress(Malformed):
            codec.decode(message)


def request_of(api_name: str) -> Codec:
    return next(api.request for api in APIS if api.name == api_name)


def test_a_message_that_ends_early_is_malformed_at_every_byte() -> None:
    codec = request_of("FindCoordinator")
    whole = b"".join(codec.encode({"key": "group", "key_type": 0}))

    for size in range(len(whole)):
        with pytest.raises(Malformed):
            codec.decode(whole[:size])


def test_an_array_may_not_claim_more_elements_than_are_reasonable() -> None:
    with pytest.raises(Malformed, match="array of 100001"):
        request_of("DescribeGroups").decode(struct.pack(">i", 100_001) + bytes(300_000))


def test_a_null_is_only_read_where_it_may_be() -> None:
    assert request_of("Metadata").decode(struct.pack(">i?", -1, False))[0].topics is None
    with pytest.raises(Malformed):
        request_of("DescribeGroups").decode(struct.pack(">i", -1))
    with pytest.raises(Malformed):
        request_of("FindCoordinator").decode(struct.pack(">hb", -1, 0))


def test_what_is_left_out_is_null_empty_zero_or_what_the_schema_says() -> None:
    codec = schema("a:string? b:string c:bytes d:[int32] e:[x:int8]? f:int32 g:int64=-1 h:bool")

    assert tuple(codec.decode(b"".join(codec.encode({})))[0]) == (None, "", b"", [], None, 0, -1, False)


def test_a_field_that_the_schema_does_not_have_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no such fields: eror_code"):
        schema("error_code:int16").encode({"eror_code": 3})


def test_the_header_of_a_request_is_read_with_and_without_a_client_id() -> None:
    named, position = HEADER.decode(struct.pack(">hhih", 18, 2, 77, 3) + b"abcREST")
    nameless, _ = HEADER.decode(struct.pack(">hhih", 18, 2, 78, -1))

    assert (tuple(named), position) == ((18, 2, 77, "abc"), 13)
    assert (nameless.correlation_id, nameless.client_id) == (78, None)


def test_the_bytes_are_those_of_the_protocol_guide() -> None:
    """Written down by hand from https://kafka.apache.org/protocol#The_Messages_OffsetCommit, version 3."""
    raw = bytes.fromhex(
        "0001 67 00000005 0001 6d ffffffffffffffff 00000001 0001 74 00000001 00000003 0000000000000009 ffff"
    )
    partition = {"partition": 3, "offset": 9, "metadata": None}
    value = {
        "group_id": "g",
        "generation_id": 5,
        "member_id": "m",
        "retention_time_ms": -1,
        "topics": [{"name": "t", "partitions": [partition]}],
    }

    assert b"".join(request_of("OffsetCommit").encode(value)) == raw
    assert plain(request_of("OffsetCommit").decode(raw)[0]) == value

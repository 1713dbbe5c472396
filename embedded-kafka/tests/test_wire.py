"""The codecs: every version of every message, there and back, and nothing but Malformed for what is none."""

import contextlib
import random
import struct
from typing import Annotated, Any, get_args, get_origin

import pytest

from embedded_kafka import messages, wire
from embedded_kafka.messages import APIS, Api
from embedded_kafka.wire import Malformed, Since, decode, encode, read_header

VERSIONS = [(api, version) for api in APIS for version in range(api.min_version, api.max_version + 1)]
RESPONSES = {
    "Heartbeat": messages.ErrorResponse,
    "LeaveGroup": messages.ErrorResponse,
}


def name(value: Any) -> str:
    return value.name if isinstance(value, Api) else str(value)


def response_of(api: Api) -> Any:
    return RESPONSES.get(api.name) or getattr(messages, f"{api.name}Response")


def made_up(hint: Any, version: int, chance: random.Random) -> Any:
    """A value of that type; a field that is not in that version has its default."""
    plain, marks = (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())
    since = next((mark for mark in marks if isinstance(mark, Since)), None)
    if since and version < since.version:
        return since.default
    codes: dict[str, Any] = {
        "b": chance.randrange(-128, 128),
        "h": chance.randrange(-(2**15), 2**15),
        "i": chance.randrange(-(2**31), 2**31),
        "q": chance.randrange(-(2**63), 2**63),
        "?": chance.random() < 0.5,
        "string": chance.choice(["", "topic", "é" * 40]),
        "bytes": memoryview(chance.randbytes(chance.randrange(20))),
    }
    code = next((mark for mark in marks if isinstance(mark, str)), None)
    if type(None) in get_args(plain) and chance.random() < 0.3:
        return None
    if code:
        return codes[code]
    if type(None) in get_args(plain):
        plain = get_args(plain)[0]
    if get_origin(plain) is list:
        return [made_up(get_args(plain)[0], version, chance) for _ in range(chance.randrange(4))]
    return (get_origin(plain) or plain)._make([made_up(field, version, chance) for _, field, _ in wire._fields(plain)])


@pytest.mark.parametrize(("api", "version"), VERSIONS, ids=name)
def test_every_version_of_every_message_comes_back_as_it_was(api: Api, version: int) -> None:
    chance = random.Random(version)
    for kind in (api.request, response_of(api)):
        for _ in range(20):
            value = made_up(kind, version, chance)

            encoded = b"".join(encode(value, version))

            assert decode(kind, version, encoded) == value


@pytest.mark.parametrize(("api", "version"), VERSIONS, ids=name)
def test_what_is_cut_off_or_damaged_is_malformed_or_another_message_but_never_anything_else(
    api: Api, version: int
) -> None:
    chance = random.Random(version)
    for _ in range(150):
        encoded = bytearray(b"".join(encode(made_up(api.request, version, chance), version)))
        for _ in range(chance.randrange(3) if encoded else 0):
            encoded[chance.randrange(len(encoded))] = chance.randrange(256)
        message = bytes(encoded[: chance.randint(0, len(encoded))])
        with contextlib.suppress(Malformed):
            decode(api.request, version, message)


def test_a_message_that_ends_early_is_malformed_at_every_byte() -> None:
    whole = b"".join(encode(messages.FindCoordinatorRequest("group", 0), 1))

    for size in range(len(whole)):
        with pytest.raises(Malformed):
            decode(messages.FindCoordinatorRequest, 1, whole[:size])


def test_an_array_may_not_claim_more_elements_than_are_reasonable() -> None:
    with pytest.raises(Malformed, match="array of 100001"):
        decode(messages.DescribeGroupsRequest, 0, struct.pack(">i", 100_001) + bytes(300_000))


def test_a_null_is_only_read_where_it_may_be() -> None:
    assert decode(messages.MetadataRequest, 1, struct.pack(">i", -1)).topics is None
    with pytest.raises(Malformed):
        decode(messages.DescribeGroupsRequest, 0, struct.pack(">i", -1))
    with pytest.raises(Malformed):
        decode(messages.FindCoordinatorRequest, 0, struct.pack(">h", -1))


def test_the_header_of_a_request_is_read_with_and_without_a_client_id() -> None:
    named, client_id, position = read_header(struct.pack(">hhih", 18, 2, 77, 3) + b"abcREST")
    nameless, nobody, _ = read_header(struct.pack(">hhih", 18, 2, 78, -1))

    assert (named.api_key, named.version, named.correlation_id, client_id, position) == (18, 2, 77, "abc", 13)
    assert (nameless.correlation_id, nobody) == (78, "")


def test_the_bytes_are_those_of_the_protocol_guide() -> None:
    """Written down by hand from https://kafka.apache.org/protocol#The_Messages_OffsetCommit, version 2."""
    raw = bytes.fromhex(
        "0001 67 00000005 0001 6d ffffffffffffffff 00000001 0001 74 00000001 00000003 0000000000000009 ffff".replace(
            " ", ""
        )
    )
    value = messages.OffsetCommitRequest("g", 5, "m", -1, [messages.Topic("t", [messages.CommitPartition(3, 9, None)])])

    assert b"".join(encode(value, 2)) == raw
    assert decode(messages.OffsetCommitRequest, 2, raw) == value

"""Connections: what is malformed, too large, slow or cut off costs its own connection, and nobody else's."""

import struct

import pytest
from support.structs import frame

from .conftest import Connect
from .names import NONE, UNSUPPORTED_VERSION
from .raw import RawClient, api_versions_request, produce_request
from .records import batch

PRODUCE, METADATA, API_VERSIONS = 0, 3, 18
NO_TAGS = b"\0"
"""The end of the header of newer versions (KIP-482)."""


def message(api_key: int, version: int, body: bytes, *, length: int | None = None) -> bytes:
    content = struct.pack(">hhih", api_key, version, 1, -1) + body
    return struct.pack(">i", len(content) if length is None else length) + content


MALFORMED = {
    "a negative length": struct.pack(">i", -1),
    "the largest length": struct.pack(">i", 2**31 - 1),
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "no header": struct.pack(">i", 2) + b"\0\x03",
    "an unknown API": message(999, 0, b""),
    "a version that is not offered": message(PRODUCE, 99, b""),
    "an old version that is not offered": message(PRODUCE, 0, struct.pack(">hii", 1, 1000, 0)),
    "a body that is cut off": message(METADATA, 5, b"\0\0"),
    "a list that is longer than the request": message(METADATA, 5, struct.pack(">i", 2**31 - 1)),
    "a string that is longer than the request": message(METADATA, 5, struct.pack(">ih", 1, 32767) + b"short"),
}


class TestMalformedRequests:
    @pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
    async def test_it_costs_its_connection_and_nobody_elses(self, connect: Connect, topic: str, sent: bytes) -> None:
        bad, good = await connect(), await connect()
        assert (await good.produce(topic, batch(b"before"))).error == NONE

        bad.say_bytes(sent)

        assert await bad.is_closed_by_the_broker()
        assert (await good.produce(topic, batch(b"after"))).offset == 1
        assert (await (await connect()).ask(api_versions_request())).error_code == NONE


class TestSlowRequests:
    async def test_a_request_may_come_in_pieces(self, raw: RawClient, topic: str) -> None:
        request = produce_request(topic, batch(b"value"))
        sent = frame(request, 7)

        for position in range(0, len(sent), 5):
            raw.say_bytes(sent[position : position + 5])
            await raw.flush()

        answer = await raw.answer(request, 7)
        assert answer.topics[0][1][0][1] == NONE

    async def test_several_requests_may_come_at_once(self, raw: RawClient) -> None:
        request = api_versions_request()

        raw.say_bytes(b"".join(frame(request, number) for number in range(10)))

        answers = [await raw.answer(request, number) for number in range(10)]
        assert [answer.error_code for answer in answers] == [NONE] * 10

    async def test_who_stops_in_the_middle_stops_nobody_else(self, connect: Connect, topic: str) -> None:
        slow, good = await connect(), await connect()
        request = produce_request(topic, batch(b"slow"))
        sent = frame(request, 7)
        slow.say_bytes(sent[:-10])
        await slow.flush()

        assert (await good.produce(topic, batch(b"good"))).offset == 0

        slow.say_bytes(sent[-10:])
        assert (await slow.answer(request, 7)).topics[0][1][0][2] == 1

    async def test_a_request_that_is_cut_off_does_nothing(self, connect: Connect, topic: str) -> None:
        cut, good = await connect(), await connect()
        cut.say_bytes(frame(produce_request(topic, batch(b"cut")), 7)[:-10])

        await cut.close()

        assert (await good.produce(topic, batch(b"good"))).offset == 0

    async def test_who_does_not_read_stops_nobody_else(self, connect: Connect, topic: str) -> None:
        greedy, good = await connect(), await connect()

        greedy.say_bytes(b"".join(frame(api_versions_request(), number) for number in range(2000)))

        assert (await good.produce(topic, batch(b"good"))).error == NONE


class TestVersions:
    async def test_what_is_offered_begins_no_later_than_what_is_newest(self, raw: RawClient) -> None:
        answer = await raw.ask(api_versions_request())

        offered = {key: (oldest, newest) for key, oldest, newest in answer.api_versions}
        assert all(0 <= oldest <= newest for oldest, newest in offered.values())
        assert {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 22, 32, 42} <= set(offered)

    async def test_who_asks_in_a_version_that_is_too_new_learns_which_there_are(self, raw: RawClient) -> None:
        """KIP-511: the answer is of version 0, and has at least ApiVersions itself."""
        raw.say_bytes(message(API_VERSIONS, 99, NO_TAGS))

        answer = await raw.answer(api_versions_request(), 1)

        assert answer.error_code == UNSUPPORTED_VERSION
        assert API_VERSIONS in {key for key, _, _ in answer.api_versions}
        assert (await raw.ask(api_versions_request())).error_code == NONE

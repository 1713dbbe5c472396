"""Connections: bad requests cost their sender's connection and nobody else's; starting and stopping leave no trace."""

import asyncio
import logging
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.batches import batch
from support.clients import Clients
from support.raw import RawClient, frame
from support.waiting import take, until

from embedded_kafka import CannotStart, EmbeddedKafka, server
from embedded_kafka.errors import ErrorCode
from embedded_kafka.messages import APIS


@pytest.fixture
async def raw(kafka: EmbeddedKafka) -> AsyncIterator[RawClient]:
    client = await RawClient.connect(kafka.bootstrap)
    yield client
    await client.close()


def fetching(
    topic: str,
    *,
    wait_ms: int = 0,
    max_bytes: int = 2**20,
    partitions: tuple[int, ...] = (0,),
    session: tuple[int, int] = (0, -1),
) -> dict[str, Any]:
    asked = [{"partition": partition, "max_bytes": 2**20} for partition in partitions]
    return {
        "max_wait_ms": wait_ms,
        "min_bytes": 1,
        "max_bytes": max_bytes,
        "session_id": session[0],
        "session_epoch": session[1],
        "topics": [{"name": topic, "partitions": asked}],
    }


def producing(topic: str, *records: bytes, acks: int = -1, transactional_id: str | None = None) -> dict[str, Any]:
    """One batch for each partition."""
    partitions = [{"partition": index, "records": batch} for index, batch in enumerate(records)]
    topics = [{"name": topic, "partitions": partitions}]
    return {"transactional_id": transactional_id, "acks": acks, "timeout_ms": 1000, "topics": topics}


def joining() -> dict[str, Any]:
    protocols = [{"name": "range", "metadata": b"x"}]
    times = {"session_timeout_ms": 6000, "rebalance_timeout_ms": 6000}
    return {"group_id": "g", "protocol_type": "consumer", "protocols": protocols, **times}


async def still_serves(kafka: EmbeddedKafka) -> bool:
    client = await RawClient.connect(kafka.bootstrap)
    answer = await client.ask("ApiVersions")
    await client.close()
    return bool(answer.error_code == 0)


class TestApiVersions:
    async def test_the_answer_is_the_table(self, raw: RawClient) -> None:
        answer = await raw.ask("ApiVersions")

        assert answer.api_keys == [(api.key, api.version, api.version) for api in APIS]

    async def test_a_newer_version_is_answered_in_version_0_and_the_connection_stands(self, raw: RawClient) -> None:
        """KIP-511: version 3 has a flexible header, which such a broker can't read beyond the correlation id."""
        raw.writer.write(bytes.fromhex("00000014 0012 0003 00000007 0003 726177 00 02 61 02 62 00 00".replace(" ", "")))
        answer = await raw.answer("ApiVersions")

        assert answer.error_code == ErrorCode.UNSUPPORTED_VERSION
        assert (18, 0, 0) in answer.api_keys
        assert (await raw.ask("ApiVersions")).error_code == 0


class TestProduce:
    async def test_a_bad_batch_is_refused_and_the_good_one_beside_it_is_kept(
        self, raw: RawClient, clients: Clients
    ) -> None:
        await clients.create_topic("t", partitions=2)
        good = batch(b"good")

        answer = await raw.ask("Produce", **producing("t", good[:-1] + b"?", good, good))

        assert [(each.error_code, each.base_offset) for each in answer.topics[0].partitions] == [
            (ErrorCode.CORRUPT_MESSAGE, -1),
            (ErrorCode.NONE, 0),
            (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1),
        ]

    async def test_transactions_and_unknown_acks_are_refused(self, raw: RawClient, clients: Clients) -> None:
        await clients.create_topic("t")

        strange = await raw.ask("Produce", **producing("t", batch(b"x"), acks=2))
        transactional = await raw.ask("Produce", **producing("t", batch(b"x"), transactional_id="tx"))

        assert strange.topics[0].partitions[0].error_code == ErrorCode.INVALID_REQUIRED_ACKS
        assert transactional.topics[0].partitions[0].error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED

    async def test_without_acks_there_is_no_answer_and_a_refusal_closes_the_connection(
        self, kafka: EmbeddedKafka, raw: RawClient, clients: Clients
    ) -> None:
        await clients.create_topic("t")

        raw.writer.write(frame("Produce", **producing("t", batch(b"x"), acks=0)))
        fetched = await raw.ask("Fetch", **fetching("t"))
        raw.writer.write(frame("Produce", **producing("unknown", batch(b"x"), acks=0)))

        assert fetched.topics[0].partitions[0].high_watermark == 1
        assert await raw.is_closed_by_the_broker()
        assert await still_serves(kafka)


class TestFetch:
    async def test_the_limit_for_the_whole_response_holds_but_for_the_first_batch(
        self, raw: RawClient, clients: Clients
    ) -> None:
        await clients.create_topic("t", partitions=3)
        await raw.ask("Produce", **producing("t", *[batch(b"x" * 1000)] * 3))

        tiny = await raw.ask("Fetch", **fetching("t", max_bytes=1, partitions=(0, 1, 2)))
        large = await raw.ask("Fetch", **fetching("t", max_bytes=2500, partitions=(0, 1, 2)))

        assert [len(each.records) > 0 for each in tiny.topics[0].partitions] == [True, False, False]
        assert [len(each.records) > 0 for each in large.topics[0].partitions] == [True, True, False]

    async def test_an_unknown_session_is_not_invented(self, raw: RawClient) -> None:
        continued = await raw.ask("Fetch", **fetching("t", session=(5, 1)))
        begun = await raw.ask("Fetch", **fetching("t", session=(0, 0)))
        ended = await raw.ask("Fetch", **fetching("t", session=(5, -1)))

        assert continued.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        assert (begun.error_code, begun.session_id, ended.error_code) == (0, 0, 0)

    async def test_requests_sent_ahead_are_answered_in_their_order(self, raw: RawClient, clients: Clients) -> None:
        await clients.create_topic("t")
        metadata = frame("Metadata", topics=None)

        raw.writer.write(frame("Fetch", **fetching("t", wait_ms=300)) + metadata + frame("Fetch", **fetching("t")))

        assert (await raw.answer("Fetch")).topics[0].partitions[0].records == b""
        assert (await raw.answer("Metadata")).topics[0].name == "t"
        assert (await raw.answer("Fetch")).topics[0].name == "t"


HUGE = 2**31 - 1
BAD_REQUESTS = {
    "a negative length": struct.pack(">i", -1),
    "a huge length": struct.pack(">i", HUGE) + b"x" * 100,
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no header": struct.pack(">ih", 2, 3),
    "an unknown API": struct.pack(">ihhih", 10, 999, 0, 1, -1),
    "a version too new": struct.pack(">ihhih", 10, 3, 99, 1, -1),
    "a version too old": struct.pack(">ihhih", 10, 0, 0, 1, -1),
    "a client id beyond the end": struct.pack(">ihhih", 10, 18, 0, 1, 500),
    "a client id that is no UTF-8": struct.pack(">ihhih", 12, 18, 0, 1, 2) + b"\xff\xfe",
    "an array of two billion": struct.pack(">ihhih", 14, 3, 5, 1, -1) + struct.pack(">i", HUGE),
    "a negative array": struct.pack(">ihhih", 14, 3, 5, 1, -1) + struct.pack(">i", -2),
    "a body cut short": struct.pack(">ihhih", 12, 12, 1, 1, -1) + b"\x00\x01",
    "a null where none may be": struct.pack(">ihhih", 13, 10, 1, 1, -1) + struct.pack(">hb", -1, 0),
}


class TestBadRequests:
    @pytest.mark.parametrize("request_bytes", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
    async def test_each_costs_its_own_connection_and_one_line_in_the_log(
        self, kafka: EmbeddedKafka, raw: RawClient, request_bytes: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        raw.writer.write(request_bytes)

        assert await raw.is_closed_by_the_broker()
        lines = [record for record in caplog.records if record.name.startswith("embedded_kafka")]
        assert [record.levelno for record in lines] == [logging.WARNING]
        assert await still_serves(kafka)

    async def test_random_damage_to_good_requests_never_stops_the_broker(
        self, kafka: EmbeddedKafka, clients: Clients, caplog: pytest.LogCaptureFixture
    ) -> None:
        await clients.create_topic("t")
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        good = [
            frame("Produce", **producing("t", batch(b"x" * 50))),
            frame("Fetch", **fetching("t")),
            frame("Metadata", topics=["t"]),
            frame("JoinGroup", **joining()),
        ]

        for _ in range(300):
            damaged = bytearray(chance.choice(good))
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
            client = await RawClient.connect(kafka.bootstrap)
            client.writer.write(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])])
            await client.close()

        assert await still_serves(kafka), f"seed {seed}"
        assert [record for record in caplog.records if record.levelno > logging.WARNING] == [], f"seed {seed}"

    async def test_half_a_request_is_not_waited_for_for_ever(self) -> None:
        async with EmbeddedKafka(housekeeping_seconds=0.05, half_request_seconds=0.1) as kafka:
            idle, half = await RawClient.connect(kafka.bootstrap), await RawClient.connect(kafka.bootstrap)
            half.writer.write(frame("ApiVersions")[:-1])

            assert await half.is_closed_by_the_broker()
            assert (await idle.ask("ApiVersions")).error_code == 0
            await half.close()
            await idle.close()

    async def test_one_connection_too_many_is_closed(self) -> None:
        async with EmbeddedKafka(max_connections=3) as kafka:
            taken = [await RawClient.connect(kafka.bootstrap) for _ in range(3)]
            await asyncio.gather(*[client.ask("ApiVersions") for client in taken])
            extra = await RawClient.connect(kafka.bootstrap)

            assert await extra.is_closed_by_the_broker()
            await taken.pop().close()
            async with asyncio.timeout(5):
                while True:
                    late = await RawClient.connect(kafka.bootstrap)
                    late.writer.write(frame("ApiVersions"))
                    answered = await late.reader.read(4)
                    await late.close()
                    if answered:
                        break
            for client in (*taken, extra):
                await client.close()

    async def test_a_client_that_does_not_read_its_answers_holds_up_nobody(
        self, kafka: EmbeddedKafka, clients: Clients
    ) -> None:
        await clients.create_topic("t")
        producer = await clients.producer()
        for _ in range(8):
            await producer.send_and_wait("t", b"x" * 900_000)
        deaf = await RawClient.connect(kafka.bootstrap)
        deaf.writer.write(frame("Fetch", **fetching("t")) * 200)
        deaf.writer.write(frame("Metadata", topics=["x" * 30_000]) * 1000)

        records = await take(await clients.consumer("t"), 8)

        assert len(records) == 8
        # Most of its 30 MB are still with the client: the broker does not read what it can't answer.
        assert deaf.writer.transport.get_write_buffer_size() > 10_000_000
        deaf.writer.transport.abort()


class TestEmbeddedKafka:
    async def test_it_starts_in_well_under_a_fifth_of_a_second(self, tmp_path: Path) -> None:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            async with EmbeddedKafka(tmp_path):
                seconds.append(time.perf_counter() - started)

        assert min(seconds) < 0.2

    async def test_it_stops_with_clients_connected_and_requests_waiting(self) -> None:
        before = asyncio.all_tasks()
        async with EmbeddedKafka() as kafka:
            clients = Clients(kafka.bootstrap)
            await clients.create_topic("t")
            await clients.stop()
            waiting = await RawClient.connect(kafka.bootstrap)
            waiting.writer.write(frame("Fetch", **fetching("t", wait_ms=60_000)))
            newcomer = await RawClient.connect(kafka.bootstrap)
            newcomer.writer.write(frame("JoinGroup", **joining()))
            assert await still_serves(kafka)
            started = time.perf_counter()

        assert time.perf_counter() - started < 1
        assert await waiting.is_closed_by_the_broker()
        assert await newcomer.is_closed_by_the_broker()
        assert asyncio.all_tasks() == before
        await waiting.close()
        await newcomer.close()

    async def test_clients_that_connect_all_the_while_do_not_hold_up_the_stop(self) -> None:
        before = asyncio.all_tasks()
        async with EmbeddedKafka() as kafka:
            host, _, port = kafka.bootstrap.rpartition(":")
            at_the_door = [socket.create_connection((host, int(port))) for _ in range(50)]

        assert asyncio.all_tasks() == before
        for each in at_the_door:
            each.close()

    async def test_a_temporary_folder_is_gone_in_the_end(self) -> None:
        async with EmbeddedKafka() as kafka:
            folder = kafka._settings.data
            assert folder.is_dir()

        assert not folder.exists()

    async def test_a_folder_that_another_broker_uses_is_refused(self, tmp_path: Path) -> None:
        async with EmbeddedKafka(tmp_path):
            with pytest.raises(CannotStart, match="Another broker"):
                await EmbeddedKafka(tmp_path).__aenter__()

    async def test_listening_beyond_this_machine_is_warned_about(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with EmbeddedKafka():
            quiet = list(caplog.records)
        # As if this were an address that others reach; a test opens no door.
        monkeypatch.setattr(server, "_is_loopback", lambda host: False)
        async with EmbeddedKafka():
            pass

        assert quiet == []
        assert "whoever reaches it" in caplog.text

    @pytest.mark.parametrize(
        ("host", "loopback"),
        [
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("::", False),
            ("10.1.2.3", False),
        ],
    )
    def test_only_loopback_is_loopback(self, host: str, loopback: bool) -> None:
        assert server._is_loopback(host) is loopback


@contextmanager
def run_module(**environment: str) -> "Iterator[subprocess.Popen[str]]":
    """It does not outlive the test, whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-m", "embedded_kafka"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class TestModule:
    async def test_it_serves_what_the_environment_says_until_told_to_stop(self, tmp_path: Path) -> None:
        with run_module(KAFKA_DATA=str(tmp_path / "new"), PORT="0") as process:
            assert process.stdout
            words = process.stdout.readline().split()
            bootstrap = words[1].removeprefix("bootstrap=")
            client = await RawClient.connect(bootstrap)
            answer = await client.ask("ApiVersions")
            await client.close()
            process.terminate()
            out, err = process.communicate(timeout=10)

        assert words == ["ready", f"bootstrap={bootstrap}", f"pid={process.pid}", f"data={tmp_path / 'new'}"]
        assert answer.error_code == 0
        assert (process.returncode, out, err) == (0, "", "")

    def test_an_occupied_port_is_one_sentence(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as occupied:
            port = occupied.getsockname()[1]
            with run_module(KAFKA_DATA=str(tmp_path), PORT=str(port)) as process:
                out, err = process.communicate(timeout=10)

        assert (process.returncode, out) == (1, "")
        assert err == f"embedded-kafka: Cannot listen on 127.0.0.1:{port}: the port is occupied.\n"

    @pytest.mark.parametrize(
        ("environment", "sentence"),
        [
            ({"KAFKA_DATA": "/dev/null/kafka"}, "Cannot use the data folder /dev/null/kafka: Not a directory."),
            ({"KAFKA_DATA": ""}, "KAFKA_DATA must name the folder for the data."),
            ({"KAFKA_DATA": "/tmp", "PORT": "many"}, "PORT must be a port number, not 'many'."),
        ],
        ids=["folder", "no folder", "port"],
    )
    def test_what_cannot_work_is_one_sentence(self, environment: dict[str, str], sentence: str) -> None:
        with run_module(**environment) as process:
            out, err = process.communicate(timeout=10)

        assert (process.returncode, out, err) == (1, "", f"embedded-kafka: {sentence}\n")


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(kafka: EmbeddedKafka, clients: Clients) -> None:
    await clients.create_topic("t")
    log = kafka._broker._topics.partition("t", 0)[1]
    client = await RawClient.connect(kafka.bootstrap)
    client.writer.write(frame("Fetch", **fetching("t", wait_ms=60_000)))
    await until(lambda: log.on_append)

    client.writer.transport.abort()

    await until(lambda: not log.on_append)

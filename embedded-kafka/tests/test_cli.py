"""The command line looks into a folder, also while the broker works in it; the README tells the protocol as it is."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from support.clients import Clients
from typer.testing import CliRunner

from embedded_kafka import EmbeddedKafka
from embedded_kafka.cli import app, main, protocol_table

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
async def data(kafka: EmbeddedKafka, clients: Clients, tmp_path: Path) -> Path:
    """Ten records in the first of two partitions, of which group `shop` has read four."""
    await clients.create_topic("orders", partitions=2, retention_ms="1000000")
    producer = await clients.producer(compression_type="gzip", enable_idempotence=True)
    for _ in range(10):
        await producer.send_and_wait("orders", b"x", partition=0)
    consumer = await clients.consumer(group_id="shop")
    consumer.assign([TopicPartition("orders", 0)])
    await consumer.commit({TopicPartition("orders", 0): 4})
    return tmp_path / "kafka"


def rows(command: str, data: Path, *arguments: str) -> list[list[str]]:
    """The cells of the printed table, without its head."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--data", str(data), *arguments])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_topics_lists_every_partition(data: Path) -> None:
    first, second = rows("topics", data)

    assert (first[:5], first[6]) == (["orders", "0", "0", "10", "1"], "retention.ms=1000000")
    assert second[:6] == ["orders", "1", "0", "0", "1", "0"]


def test_groups_lists_the_lag(data: Path) -> None:
    assert rows("groups", data) == [["shop", "orders", "0", "4", "10", "6"]]


def test_dump_lists_the_last_batches(data: Path) -> None:
    batches = rows("dump", data, "orders", "0", "--limit", "3")

    assert [(row[0], row[1], row[3], row[6], row[7]) for row in batches] == [
        (f"{offset} - {offset}", "1", "gzip", str(offset), "good") for offset in (7, 8, 9)
    ]


def test_dump_shows_a_bad_checksum(data: Path) -> None:
    [path] = (data / "topics" / "orders-0").glob("*.log")
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    assert [row[7] for row in rows("dump", data, "orders")][-2:] == ["good", "BAD"]


@pytest.mark.parametrize("arguments", [["topics"], ["groups"], ["dump", "t"]])
def test_a_folder_without_data_is_one_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["embedded-kafka", *arguments, "--data", str(tmp_path)])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 1
    assert capsys.readouterr().err == f"embedded-kafka: There is no broker's data in {tmp_path}.\n"


def test_the_readme_has_the_table_of_the_protocol() -> None:
    printed = CliRunner().invoke(app, ["protocol"]).output

    assert printed == protocol_table()
    assert f"\n{printed}\n" in README.read_text()

"""Batches: checked as Kafka checks them, and their records found by time."""

import struct

import cramjam
import google_crc32c
import pytest
from support.batches import batch

from embedded_kafka.errors import ErrorCode, KafkaError
from embedded_kafka.records import check_produced, first_at_or_after, is_intact, read_header


def refusal(records: bytes | None, *, max_bytes: int = 2**20) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        check_produced(records, max_bytes=max_bytes)
    return caught.value.code


class TestIsIntact:
    def test_every_single_flipped_bit_after_the_checksum_is_found(self) -> None:
        good = batch(b"value" * 10)

        for position in range(21, len(good)):
            bad = bytearray(good)
            bad[position] ^= 1 << position % 8
            assert not is_intact(bad, read_header(bad)), position

    def test_the_offset_and_the_leader_epoch_are_free_to_be_patched(self) -> None:
        patched = bytearray(batch(b"value"))
        struct.pack_into(">q", patched, 0, 12345)
        struct.pack_into(">i", patched, 12, 7)

        assert is_intact(patched, read_header(patched))


class TestCheckProduced:
    def test_a_batch_as_a_client_makes_it_is_taken(self) -> None:
        header, _ = check_produced(batch(b"a", b"b", b"c"), max_bytes=1000)

        assert (header.record_count, header.next_offset, header.codec) == (3, 3, "none")

    def test_what_is_no_batch_is_refused(self) -> None:
        assert refusal(None) is ErrorCode.INVALID_RECORD
        assert refusal(b"") is ErrorCode.INVALID_RECORD
        assert refusal(batch(b"a")[:60]) is ErrorCode.INVALID_RECORD

    def test_a_batch_that_is_cut_off_is_none(self) -> None:
        assert refusal(batch(b"a")[:-1]) is ErrorCode.INVALID_RECORD

    def test_two_batches_at_once_are_refused(self) -> None:
        assert refusal(batch(b"a") + batch(b"b")) is ErrorCode.INVALID_RECORD

    def test_an_older_format_is_refused(self) -> None:
        old = bytearray(batch(b"a"))
        old[16] = 1

        assert refusal(bytes(old)) is ErrorCode.INVALID_RECORD

    def test_a_changed_byte_is_corrupt(self) -> None:
        bad = bytearray(batch(b"value"))
        bad[-2] ^= 1

        assert refusal(bytes(bad)) is ErrorCode.CORRUPT_MESSAGE

    def test_a_batch_over_the_limit_is_too_large(self) -> None:
        assert refusal(batch(b"x" * 100), max_bytes=100) is ErrorCode.MESSAGE_TOO_LARGE

    @pytest.mark.parametrize(
        ("attributes", "code"),
        [
            (0x20, ErrorCode.INVALID_RECORD),
            (0x08, ErrorCode.INVALID_RECORD),
            (0x10, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
            (0x05, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
        ],
        ids=["control", "log append time", "transactional", "a codec that is none"],
    )
    def test_attributes_that_are_not_a_plain_producers_are_refused(self, attributes: int, code: ErrorCode) -> None:
        records = bytearray(batch(b"a"))
        struct.pack_into(">h", records, 21, attributes)
        struct.pack_into(">I", records, 17, google_crc32c.value(bytes(records[21:])))

        assert refusal(bytes(records)) is code

    def test_a_count_of_records_that_the_offsets_contradict_is_refused(self) -> None:
        records = bytearray(batch(b"a", b"b"))
        struct.pack_into(">i", records, 57, 3)
        struct.pack_into(">I", records, 17, google_crc32c.value(bytes(records[21:])))

        assert refusal(bytes(records)) is ErrorCode.INVALID_RECORD


class TestFirstAtOrAfter:
    @pytest.mark.parametrize("codec", range(5), ids=["none", "gzip", "snappy", "lz4", "zstd"])
    def test_the_very_record_is_found_inside_a_batch(self, codec: int) -> None:
        records = batch(b"a", b"b" * 300, b"c", timestamps=(100, 200, 300), codec=codec)
        header = read_header(records)

        found = [first_at_or_after(records, header, timestamp) for timestamp in (0, 100, 101, 200, 300, 301)]

        assert found == [(0, 100), (0, 100), (1, 200), (1, 200), (2, 300), None]

    def test_snappy_is_read_as_librdkafka_writes_it_too(self) -> None:
        """Without the frame that Java puts around it."""
        records = batch(b"a", b"b" * 300, b"c", timestamps=(100, 200, 300))
        packed = bytes(cramjam.snappy.compress_raw(records[61:]))
        header = read_header(records)._replace(length=49 + len(packed), attributes=2)

        assert first_at_or_after(records[:61] + packed, header, 150) == (1, 200)

    @pytest.mark.parametrize("codec", range(5))
    def test_a_body_that_is_no_records_gives_the_batch(self, codec: int) -> None:
        records = bytearray(batch(b"a", b"b", timestamps=(100, 200)))
        struct.pack_into(">h", records, 21, codec)
        records[61:] = b"\xff" * len(records[61:])

        assert first_at_or_after(records, read_header(records), 150) == (0, 100)

    @pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
    def test_a_few_bytes_that_would_become_gigabytes_give_the_batch(self, codec: str) -> None:
        bomb = bytes(getattr(cramjam, codec).compress(bytes(80_000_000)))
        records = batch(b"a", b"b", timestamps=(100, 200))
        number = {"gzip": 1, "lz4": 3, "zstd": 4}[codec]
        header = read_header(records)._replace(length=49 + len(bomb), attributes=number)

        assert first_at_or_after(records[:61] + bomb, header, 150) == (0, 100)

"""The fast checksum equals its definition."""

import random

import pytest

from embedded_kafka.crc32c import crc32c


def crc32c_bit_by_bit(data: bytes) -> int:
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


def test_the_check_value_of_the_standard_comes_out() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("size", [0, 1, 3, 4, 35, 36, 37, 67, 68, 130, 255, 256, 507, 1000, 4096, 7000, 13600])
def test_it_equals_the_definition_around_every_step_of_the_fold(size: int) -> None:
    data = random.Random(size).randbytes(size)

    assert crc32c(data) == crc32c_bit_by_bit(data)
    assert crc32c(memoryview(data)) == crc32c_bit_by_bit(data)


@pytest.mark.parametrize("size", [25398, 50793, 50794, 50795, 50800, 101588, 120000])
def test_it_equals_the_definition_where_a_long_message_is_taken_in_pieces(size: int) -> None:
    data = random.Random(size).randbytes(size)

    assert crc32c(data) == crc32c_bit_by_bit(data)

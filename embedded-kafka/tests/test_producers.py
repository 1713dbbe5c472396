"""The sequence check that makes an idempotent producer idempotent."""

import pytest
from support.batches import batch

from embedded_kafka.errors import ErrorCode, KafkaError
from embedded_kafka.producers import ProducerStates
from embedded_kafka.records import BatchHeader, read_header


def sent(sequence: int, records: int = 1, *, epoch: int = 0, producer_id: int = 7) -> BatchHeader:
    return read_header(batch(*[b"x"] * records, producer_id=producer_id, epoch=epoch, sequence=sequence))


@pytest.fixture
def states() -> ProducerStates:
    """Producer 7 has written sequences 0 to 9, two at a time."""
    states = ProducerStates()
    for sequence in range(0, 10, 2):
        states.remember(sent(sequence, 2), 100 + sequence)
    return states


def refusal(states: ProducerStates, header: BatchHeader) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        states.earlier_offset(header)
    return caught.value.code


class TestEarlierOffset:
    def test_the_next_sequence_is_new(self, states: ProducerStates) -> None:
        assert states.earlier_offset(sent(10)) is None

    def test_each_of_the_last_five_batches_is_known_by_its_offset(self, states: ProducerStates) -> None:
        assert [states.earlier_offset(sent(sequence, 2)) for sequence in range(0, 10, 2)] == [100, 102, 104, 106, 108]

    def test_a_gap_and_a_batch_that_overlaps_are_out_of_order(self, states: ProducerStates) -> None:
        assert refusal(states, sent(11)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert refusal(states, sent(8, 3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def test_an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero(self, states: ProducerStates) -> None:
        states.remember(sent(0, epoch=1), 110)

        assert refusal(states, sent(10, epoch=0)) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert refusal(states, sent(5, epoch=2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert states.earlier_offset(sent(0, epoch=2)) is None

    def test_somebody_unknown_may_begin_anywhere(self, states: ProducerStates) -> None:
        assert states.earlier_offset(sent(55, producer_id=8)) is None

    def test_sequences_begin_again_at_zero_after_the_largest(self) -> None:
        states = ProducerStates()
        states.remember(sent(2**31 - 2, 2), 0)

        assert states.earlier_offset(sent(0)) is None
        assert refusal(states, sent(1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def test_a_batch_over_the_end_of_the_sequences_is_known_again(self) -> None:
        states = ProducerStates()
        states.remember(sent(2**31 - 1, 3), 50)

        assert states.earlier_offset(sent(2**31 - 1, 3)) == 50
        assert states.earlier_offset(sent(2)) is None


class TestRemember:
    def test_memory_is_bounded_and_the_longest_silent_is_forgotten(self, states: ProducerStates) -> None:
        for producer_id in range(1000, 2000):
            states.remember(sent(0, producer_id=producer_id), 0)

        assert states.earlier_offset(sent(99)) is None
        assert states.earlier_offset(sent(0, producer_id=1999)) == 0

"""What idempotent producers have written to one partition, so that a batch sent again is not kept twice (KIP-98)."""

from collections import OrderedDict, deque
from typing import NamedTuple

from .errors import ErrorCode, KafkaError
from .records import NO_PRODUCER, BatchHeader

_REMEMBERED_BATCHES = 5  # as many as a producer may have in flight
_REMEMBERED_PRODUCERS = 1000
_SEQUENCES = 2**31


class _Batch(NamedTuple):
    first_sequence: int
    last_sequence: int
    base_offset: int


class _Producer:
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: deque[_Batch] = deque(maxlen=_REMEMBERED_BATCHES)


class ProducerStates:
    """Rebuilt from the headers in the log when the broker starts: the log is the only place where it is kept."""

    def __init__(self) -> None:
        self._producers: OrderedDict[int, _Producer] = OrderedDict()

    def earlier_offset(self, header: BatchHeader) -> int | None:
        """The offset of this batch if it is in the log already. Raises if it is not the one that must come next."""
        producer = self._producers.get(header.producer_id)
        if header.producer_id == NO_PRODUCER or producer is None:
            return None  # KIP-360: somebody unknown may begin anywhere, retention may have removed what was before
        if header.producer_epoch < producer.epoch:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH)
        if header.producer_epoch > producer.epoch:
            if header.base_sequence != 0:
                raise KafkaError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
            return None
        last_sequence = _last_sequence(header)
        for batch in producer.batches:
            if (batch.first_sequence, batch.last_sequence) == (header.base_sequence, last_sequence):
                return batch.base_offset
        if header.base_sequence != (producer.batches[-1].last_sequence + 1) % _SEQUENCES:
            raise KafkaError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
        return None

    def remember(self, header: BatchHeader, base_offset: int) -> None:
        if header.producer_id == NO_PRODUCER:
            return
        producer = self._producers.get(header.producer_id)
        if producer is None or producer.epoch != header.producer_epoch:
            producer = self._producers[header.producer_id] = _Producer(header.producer_epoch)
        producer.batches.append(_Batch(header.base_sequence, _last_sequence(header), base_offset))
        self._producers.move_to_end(header.producer_id)
        if len(self._producers) > _REMEMBERED_PRODUCERS:
            self._producers.popitem(last=False)


def _last_sequence(header: BatchHeader) -> int:
    return (header.base_sequence + header.last_offset_delta) % _SEQUENCES

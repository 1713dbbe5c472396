"""Record batches made by aiokafka, the other side of the format."""

from aiokafka.record.default_records import DefaultRecordBatchBuilder


def batch(
    *values: bytes,
    timestamps: tuple[int, ...] = (),
    codec: int = 0,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
) -> bytes:
    """Without timestamps the records are of 1000, 1001, ... ms."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, producer_id, epoch, sequence, 2**24)
    for index, value in enumerate(values):
        timestamp = timestamps[index] if timestamps else 1000 + index
        builder.append(index, timestamp, None, value, [])
    return bytes(builder.build())

"""Producers and readers on confluent-kafka: its work is done in C, so that the client is not what is measured."""

import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from .load import Load, Read, Reading, Sent
from .worker import Gate

_FLUSH_SECONDS = 60.0
_QUIET_SECONDS = 15.0  # no news for so long: what is missing is lost
_AFTERMATH_SECONDS = 0.3  # read on when all is there: doubled records may come


def _common(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 3}  # no warnings of what it tries again by itself


def create_topics(bootstrap: str, load: Load) -> None:
    admin = AdminClient(_common(bootstrap))
    for created in admin.create_topics([NewTopic(topic, load.partitions, 1) for topic in load.topics]).values():
        created.result(30)


def produce(gate: Gate, bootstrap: str, load: Load) -> Sent:
    """Batches and linger are librdkafka's defaults (1 MB, 5 ms) at full speed; at a rate nothing lingers.

    Idempotent: else librdkafka itself may double and reorder records when it tries again.
    """
    failed: list[str] = []
    lingering = {} if load.rate is None else {"linger.ms": 0}
    settings = _common(bootstrap) | {"acks": "all", "enable.idempotence": True} | lingering

    def note_failure(error: object, _: Message) -> None:
        failed.append(str(error))

    producers = [
        Producer({**settings, "delivery.report.only.error": True, "on_delivery": note_failure})
        for _ in range(load.producers)
    ]
    for producer in producers:
        for topic in load.topics:
            producer.list_topics(topic, 30)  # so that connections are there and partitions known
    gate.ready()
    gate.wait()
    begun_ns = time.monotonic_ns()
    for index, (number, topic, partition, stream, position) in enumerate(load.places()):
        if load.rate is not None:
            due_ns = begun_ns + index * 1_000_000_000 // load.rate
            if (early_ns := due_ns - time.monotonic_ns()) > 0:
                time.sleep(early_ns / 1e9)
        producer = producers[number]
        value = load.value(time.monotonic_ns(), stream, position)
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                break
            except BufferError:  # its queue is full, so the broker sets the pace
                producer.poll(0.005)
    for producer in producers:
        if unsent := producer.flush(_FLUSH_SECONDS):
            failed.append(f"{unsent} records were not acknowledged within {_FLUSH_SECONDS:.0f} s")
    return Sent(begun_ns, failed)


def read(gate: Gate, bootstrap: str, group: str, load: Load) -> Read:
    """A group of one member that reads while there is news. At a rate it takes each record as soon as it comes."""
    reading = Reading(load)
    consumer = Consumer(_common(bootstrap) | {"group.id": group, "auto.offset.reset": "earliest"})
    assigned: list[TopicPartition] = []

    def on_assign(_: Consumer, partitions: list[TopicPartition]) -> None:
        assigned.extend(partitions)

    consumer.subscribe(list(load.topics), on_assign=on_assign)
    while len(assigned) < len(load.topics) * load.partitions:
        consumer.poll(0.01)
    gate.ready()
    most = 1000 if load.rate is None else 1
    news_at = time.monotonic()
    while time.monotonic() - news_at < (_AFTERMATH_SECONDS if reading.complete else _QUIET_SECONDS):
        messages = consumer.consume(most, 0.02)
        now_ns = time.monotonic_ns()
        for message in messages:
            error, value = message.error(), message.value()
            if error:
                raise KafkaException(error)
            assert isinstance(value, bytes)
            reading.note(value, now_ns)
        if messages:
            news_at = time.monotonic()
    consumer.close()
    return reading.result()

"""Reading parts of topics beside the workers, each up to an end that is known before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.kafka.clients import made_consumer
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

_READ_AT_ONCE: Final = 500


@contextmanager
def reader(settings: KafkaSettings, of_what: str) -> Iterator[Consumer]:
    """A consumer that takes no partition from anybody; its group is its own, and holds nothing.

    Raises:
        Unavailable: what the block reads cannot be read.
    """
    group = f"{settings.group}-look-{uuid4().hex}"
    consumer = made_consumer(settings, {"group.id": group, "enable.partition.eof": True})
    try:
        yield consumer
    except KafkaException as error:
        code: KafkaError = error.args[0]
        raise Unavailable(f"Kafka at {settings.brokers} does not return {of_what}: {code.str()}") from None
    finally:
        consumer.close()


def read_range(
    consumer: Consumer, topic: str, partition: int, begin: int, end: int, wait_s: float
) -> Iterator[Message]:
    """Read the messages [begin, end) of a partition; offsets without one, as marks of transactions, are passed over.

    Raises:
        KafkaException: the brokers refuse.
        Unavailable: nothing came for `wait_s`, and the end is not reached.
    """
    if begin >= end:
        return
    consumer.assign([TopicPartition(topic, partition, begin)])
    position = begin
    while position < end:
        messages = consumer.consume(1, wait_s)
        messages += consumer.consume(_READ_AT_ONCE, 0) if messages else []
        if not messages:
            raise Unavailable(
                f"Kafka does not return partition {partition} of topic {topic} up to offset {end}: if it is up, an "
                f"open transaction hides the rest (realtime-pipeline topics describe {topic})"
            )
        for message in messages:
            error, offset = message.error(), message.offset() or 0
            if message.partition() != partition:
                continue  # of the partition that was read before
            if error is None:
                position = offset + 1
                if offset < end:
                    yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                position = max(position, offset)
            elif not error.retriable():
                raise KafkaException(error)

"""Reading offset ranges of topics, apart from the workers' consumer group."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.kafka.clients import new_consumer
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

_BATCH_RECORDS: Final = 500


@contextmanager
def open_consumer(settings: KafkaSettings, subject: str) -> Iterator[Consumer]:
    """Open a consumer with a group id of its own, which commits nothing and causes no rebalance of the workers' group.

    Args:
        settings: Where Kafka is.
        subject: What the block reads, for the error message.

    Raises:
        Unavailable: Kafka returned an error within the block.
    """
    group = f"{settings.group}-look-{uuid4().hex}"
    consumer = new_consumer(settings, {"group.id": group, "enable.partition.eof": True})
    try:
        yield consumer
    except KafkaException as error:
        code: KafkaError = error.args[0]
        raise Unavailable(f"Kafka at {settings.brokers} does not return {subject}: {code.str()}") from None
    finally:
        consumer.close()


def read_range(
    consumer: Consumer, topic: str, partition: int, begin: int, end: int, wait_s: float
) -> Iterator[Message]:
    """Read the messages [begin, end) of a partition; skip offsets without a message, such as transaction markers.

    Raises:
        KafkaException: the brokers returned an error.
        Unavailable: nothing came for `wait_s`, and the end is not reached.
    """
    if begin >= end:
        return
    consumer.assign([TopicPartition(topic, partition, begin)])
    position = begin
    while position < end:
        messages = consumer.consume(1, wait_s)
        messages += consumer.consume(_BATCH_RECORDS, 0) if messages else []
        if not messages:
            raise Unavailable(
                f"Kafka does not return partition {partition} of topic {topic} up to offset {end}: if it is up, an "
                f"open transaction hides the rest (realtime-pipeline topics describe {topic})"
            )
        for message in messages:
            error, offset = message.error(), message.offset() or 0
            if message.partition() != partition:
                continue  # still of the partition that was assigned before
            if error is None:
                position = offset + 1
                if offset < end:
                    yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                position = max(position, offset)
            elif not error.retriable():
                raise KafkaException(error)

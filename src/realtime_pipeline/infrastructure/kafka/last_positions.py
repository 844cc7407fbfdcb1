"""Finding the offset of the last record of each partition of the log's topic."""

from collections.abc import Mapping
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import new_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

BATCH_RECORDS = 500


def last_positions(settings: KafkaSettings, starts: Mapping[int, int]) -> dict[int, int]:
    """Read partitions from given offsets to their ends, with a separate consumer; return the offset of the last record.

    Partitions without a record from there on are left out of the result.

    Raises:
        Unreachable: Kafka does not answer.
    """
    consumer = new_consumer(
        settings, {"group.id": f"{settings.group}-ends-{uuid4().hex}", "enable.partition.eof": True}
    )
    try:
        return _read(consumer, settings, starts)
    except KafkaException as error:
        raise translate_error(error.args[0], f"topic {settings.topic}") from None
    finally:
        consumer.close()


def _read(consumer: Consumer, settings: KafkaSettings, starts: Mapping[int, int]) -> dict[int, int]:
    consumer.assign([TopicPartition(settings.topic, number, position) for number, position in starts.items()])
    unread, last = set(starts), dict[int, int]()
    while unread:
        messages = consumer.consume(1, settings.request_timeout_ms / 1000)
        messages += consumer.consume(BATCH_RECORDS, 0) if messages else []
        if not messages:
            raise Unreachable(f"Kafka at {settings.brokers} does not return the last records of topic {settings.topic}")
        for message in messages:
            error, number, position = message.error(), message.partition(), message.offset()
            if error is None and number is not None and position is not None:
                last[number] = position
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                unread.discard(number or 0)
            elif error is not None and not error.retriable():
                raise KafkaException(error)
    return last

"""The last records of a topic's partitions."""

from collections.abc import Mapping
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import made_consumer, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

READ_AT_ONCE = 500


def last_positions(settings: KafkaSettings, starts: Mapping[int, int]) -> dict[int, int]:
    """Read partitions from given positions to their ends, by a consumer of its own; say where the last record of each
    lies. Those that have no record there are left out.

    Raises:
        Unreachable: Kafka does not answer.
    """
    consumer = made_consumer(
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
        messages += consumer.consume(READ_AT_ONCE, 0) if messages else []
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

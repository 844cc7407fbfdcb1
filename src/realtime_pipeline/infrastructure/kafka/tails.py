"""The last records of a topic's partitions."""

from collections.abc import Mapping
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.infrastructure.kafka.clients import made_consumer, meaning
from realtime_pipeline.infrastructure.kafka.rules import KafkaRules

READ_AT_ONCE = 500


def last_positions(rules: KafkaRules, starts: Mapping[int, int]) -> dict[int, int]:
    """Read partitions from given positions to their ends, by a consumer of its own; say where the last record of each
    lies. Those that have no record there are left out.

    Raises:
        Unreachable: Kafka does not answer.
    """
    consumer = made_consumer(rules, {"group.id": f"{rules.group}-ends-{uuid4().hex}", "enable.partition.eof": True})
    try:
        return _read(consumer, rules, starts)
    except KafkaException as error:
        raise meaning(error.args[0], f"topic {rules.topic}") from None
    finally:
        consumer.close()


def _read(consumer: Consumer, rules: KafkaRules, starts: Mapping[int, int]) -> dict[int, int]:
    consumer.assign([TopicPartition(rules.topic, number, position) for number, position in starts.items()])
    unread, last = set(starts), dict[int, int]()
    while unread:
        messages = consumer.consume(1, rules.answer_ms / 1000)
        messages += consumer.consume(READ_AT_ONCE, 0) if messages else []
        if not messages:
            raise Unreachable(f"Kafka at {rules.brokers} does not return the last records of topic {rules.topic}")
        for message in messages:
            error, number, position = message.error(), message.partition(), message.offset()
            if error is None and number is not None and position is not None:
                last[number] = position
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                unread.discard(number or 0)
            elif error is not None and not error.retriable():
                raise KafkaException(error)
    return last

"""The topic of source positions: by log, source and part the last position, in a compacted topic."""

from collections.abc import Iterator
from typing import Final

import msgspec
from confluent_kafka import TopicPartition

from realtime_pipeline.application.errors import NewerRelease, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.kafka.read_range import open_consumer, read_range
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

FORMAT: Final = 1
PARTITION: Final = 0
"""The topic has one partition, so that its records are in the order of the transactions."""

_encode = msgspec.json.Encoder().encode


class _Key(msgspec.Struct, array_like=True):
    log_id: str
    source: str
    part: str


class _Value(msgspec.Struct):
    format: int
    position: str


def encode_position(log_id: str, source: str, part: str, position: str) -> tuple[bytes, bytes]:
    """Encode a position as the key and the value of a record."""
    return _encode(_Key(log_id, source, part)), _encode(_Value(FORMAT, position))


def read_positions(settings: KafkaSettings, log_id: str, source: str) -> dict[str, str]:
    """Read the positions of a source; wait for the transactions that are open in the topic.

    Raises:
        UnrecoverableState: a record is damaged, or a newer release wrote it.
        Unreachable: Kafka does not answer, or a transaction does not end.
    """
    found: dict[str, str] = {}
    for key, value in _records(settings):
        try:
            name = msgspec.json.decode(key, type=_Key)
            if (name.log_id, name.source) == (log_id, source):
                read = msgspec.json.decode(value, type=_Value)
                if read.format > FORMAT:
                    raise NewerRelease(f"a newer release wrote the positions of {source}: upgrade this program")
                found[name.part] = read.position
        except msgspec.MsgspecError as error:
            raise UnrecoverableState(
                f"topic {settings.source_positions_topic} has a record that no release wrote ({error}): delete it"
            ) from None
    return found


def _records(settings: KafkaSettings) -> Iterator[tuple[bytes, bytes]]:
    topic, wait_s = settings.source_positions_topic, settings.request_timeout_ms / 1000
    with open_consumer(settings, f"the positions in topic {topic}") as consumer:
        bounds = consumer.get_watermark_offsets(TopicPartition(topic, PARTITION), wait_s, cached=False)
        if bounds is None:
            raise Unreachable(f"topic {topic}: Kafka does not return its offsets")
        for message in read_range(consumer, topic, PARTITION, bounds[0], bounds[1], wait_s):
            key, value = message.key(), message.value()
            if isinstance(key, bytes) and isinstance(value, bytes):
                yield key, value

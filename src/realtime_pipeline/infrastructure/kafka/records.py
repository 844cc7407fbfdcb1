"""Converting messages of the log's topic into records."""

from confluent_kafka import Message

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.kafka.publisher import ORIGIN


def to_record(message: Message) -> Record:
    """Convert a message without an error into the record that it holds."""
    headers = message.headers()
    origin = None
    if headers:
        raw = dict(headers).get(ORIGIN)
        origin = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else None
    partition, position = message.partition(), message.offset()
    if partition is None or position is None:  # only messages that are errors have none
        raise UnrecoverableState("Kafka returned a record without a partition or an offset")
    return Record(partition, position, message.key(), message.value() or b"", message.timestamp()[1], origin)

"""Reading ranges of the log's topic in Kafka, apart from the workers' consumer group."""

from collections.abc import Iterator

from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.kafka.read_range import open_consumer, read_range
from realtime_pipeline.infrastructure.kafka.records import to_record
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings


class KafkaLogReader(LogReader):
    """Reads records of the log's topic."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read records with a separate consumer."""
        topic, wait_s = self._settings.topic, self._settings.request_timeout_ms / 1000
        with open_consumer(self._settings, f"topic {topic}") as consumer:
            yield from map(to_record, read_range(consumer, topic, partition, from_position, to_position, wait_s))

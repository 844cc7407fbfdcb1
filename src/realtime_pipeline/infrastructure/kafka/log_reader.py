"""Looking something up in the log in Kafka."""

from collections.abc import Iterator

from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.kafka.log import record_of
from realtime_pipeline.infrastructure.kafka.read_range import read_range, reader
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings


class KafkaLogReader(LogReader):
    """Reads the topic."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def read(self, partition: int, from_position: int, to_position: int) -> Iterator[Record]:
        """Read records, by a consumer of its own."""
        topic, wait_s = self._settings.topic, self._settings.request_timeout_ms / 1000
        with reader(self._settings, f"topic {topic}") as consumer:
            yield from map(record_of, read_range(consumer, topic, partition, from_position, to_position, wait_s))

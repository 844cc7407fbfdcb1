"""Topics of others for tests, and reading them."""

import time
from typing import Any

import attrs
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.support import servers
from tests.support.queues import produce, wait_until_led

WAIT_S = 10.0
QUIET: dict[str, str | int] = {"log_level": 2}  # clients outlive the broker at the end of the tests


class Topic:
    """A topic of others, and what others do with it."""

    def __init__(self, partitions: int = 1, broker: str | None = None) -> None:
        self.name = servers.unique("others")
        self.brokers = broker or servers.kafka_address()
        self.admin = AdminClient({**QUIET, "bootstrap.servers": self.brokers})
        self.create(partitions)

    def create(self, partitions: int = 1) -> None:
        self.admin.create_topics([NewTopic(self.name, partitions, 1)])[self.name].result(WAIT_S)
        wait_until_led(self.brokers, self.name)

    def delete(self) -> None:
        self.admin.delete_topics([self.name], operation_timeout=WAIT_S)[self.name].result(WAIT_S)
        deadline_s = time.monotonic() + WAIT_S
        while self.name in self.admin.list_topics(timeout=WAIT_S).topics:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def delete_records(self, before: int, partition: int = 0) -> None:
        topic_partition = TopicPartition(self.name, partition, before)
        for done in self.admin.delete_records([topic_partition]).values():
            done.result(WAIT_S)

    def produce(self, *values: bytes | None, partition: int = 0) -> None:
        options: dict[str, str | int | float | bool] = {**QUIET, "bootstrap.servers": self.brokers, "linger.ms": 0}
        produce(options, self.name, partition, values)

    def enlarge(self, partitions: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(WAIT_S)
        wait_until_led(self.brokers, self.name)

    @property
    def settings(self) -> KafkaTopicSettings:
        return KafkaTopicSettings(self.name, self.brokers, request_timeout_ms=3_000)

    def source(self, **changes: Any) -> KafkaTopicSource:
        return KafkaTopicSource("others", attrs.evolve(self.settings, **changes))


def read_values(source: Source, count: int) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    deadline_s = time.monotonic() + WAIT_S
    while len(values) < count:
        assert time.monotonic() < deadline_s
        batch = source.read(100, 0.5)
        if batch is not None:
            values += [record.value for record in batch.records]
            positions |= batch.positions
    return values, positions

"""Filling queues of others for tests."""

import time
from collections.abc import Iterable

from confluent_kafka import IsolationLevel, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from realtime_pipeline.application.errors import Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import topic_bounds
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support import servers

WAIT_S = 20.0


def fill_topic(name: str, values: Iterable[bytes]) -> None:
    """Create a topic with one partition that has these values."""
    options: dict[str, str | int | float | bool] = {"bootstrap.servers": servers.kafka_address(), "log_level": 2}
    admin = AdminClient(options)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_S)
    wait_until_led(servers.kafka_address(), name)
    produce(options, name, 0, values)


def wait_until_led(brokers: str, topic: str) -> None:
    """Wait until each partition of a topic that was created or enlarged just now has a leader."""
    settings = KafkaSettings(brokers=brokers, request_timeout_ms=1_000)
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            topic_bounds(settings, topic, IsolationLevel.READ_COMMITTED)
        except (Unreachable, UnrecoverableState):
            assert time.monotonic() < deadline_s
        else:
            return


def produce(
    options: dict[str, str | int | float | bool], topic: str, partition: int, values: Iterable[bytes | None]
) -> None:
    """Append values to a partition, and check that it has them."""
    failures = list[object]()

    def on_delivery(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(options)
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=on_delivery)
    assert producer.flush(WAIT_S) == 0
    assert failures == []


def fill_stream(key: str, values: Iterable[bytes]) -> None:
    """Add these values to a stream, as the field `json`."""
    client = RedisClient(RedisSettings(nodes=servers.redis_address()))
    client.execute([(key, ("XADD", key, "*", "json", value)) for value in values])
    client.close()

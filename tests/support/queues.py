"""Filling queues of others for tests."""

from collections.abc import Iterable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support import servers

WAIT_S = 20.0


def fill_topic(name: str, values: Iterable[bytes]) -> None:
    """Create a topic with one partition that has these values."""
    options: dict[str, str | int | float | bool] = {"bootstrap.servers": servers.kafka_address(), "log_level": 2}
    admin = AdminClient(options)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_S)
    producer = Producer(options)
    for value in values:
        producer.produce(name, value, partition=0)
    assert producer.flush(WAIT_S) == 0


def fill_stream(key: str, values: Iterable[bytes]) -> None:
    """Add these values to a stream, as the field `json`."""
    client = RedisClient(RedisSettings(nodes=servers.redis_address()))
    client.execute([(key, ("XADD", key, "*", "json", value)) for value in values])
    client.close()

"""Settings of Kafka with topics of its own for each test."""

from collections.abc import Iterator

import pytest

from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.contracts.event_log import PARTITIONS
from tests.support import servers
from tests.support.topics import Topic


@pytest.fixture
def settings() -> KafkaSettings:
    return servers.kafka_settings(PARTITIONS)


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def source(topic: Topic) -> Iterator[KafkaTopicSource]:
    made = topic.source()
    yield made
    made.close()

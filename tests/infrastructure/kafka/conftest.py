"""Settings of Kafka with topics of its own for each test."""

import pytest

from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from tests.contracts.event_log import PARTITIONS
from tests.support import servers


@pytest.fixture
def settings() -> KafkaSettings:
    return servers.kafka_settings(PARTITIONS)

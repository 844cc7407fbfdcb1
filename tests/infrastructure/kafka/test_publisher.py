"""Publishing when brokers reject a record, or the producer's queue is full."""

import attrs
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

pytestmark = pytest.mark.xdist_group("kafka")


def test_publishing_fails_if_brokers_reject_a_record(settings: KafkaSettings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    limit = ConfigEntry("max.message.bytes", "500", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, settings.topic, incremental_configs=[limit])
    for future in admin.incremental_alter_configs([topic]).values():
        future.result()
    publisher = KafkaEventPublisher(attrs.evolve(settings, compression="none"), NoObserver())
    small, large = Outgoing(b"k", b"x", partition=0), Outgoing(b"k", b"x" * 5_000, partition=1)
    with pytest.raises(Unavailable, match="did not accept all of 2 events, one is too large"):
        publisher.publish([small, large])
    publisher.publish([small])
    publisher.close()


def test_a_full_queue_makes_the_publisher_wait_and_loses_nothing(settings: KafkaSettings) -> None:
    publisher = KafkaEventPublisher(attrs.evolve(settings, queue_buffering_max_messages=10), NoObserver())
    publisher.publish([Outgoing(b"k", f"{number}".encode(), partition=0) for number in range(500)])
    log = KafkaEventLog(settings)
    assert log.bounds([0]) == {0: (0, 500)}
    log.close()

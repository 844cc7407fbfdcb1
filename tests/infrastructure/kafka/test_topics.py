"""Creating, describing and deleting topics."""

import time

import attrs
import pytest
from confluent_kafka import Producer

from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.contracts.event_log import PARTITIONS
from tests.support import servers

pytestmark = pytest.mark.xdist_group("kafka")


def test_topics_are_created_once_with_the_settings_that_the_fold_needs(settings: KafkaSettings) -> None:
    topics = KafkaTopics(settings)
    assert topics.create(TopicSettings(partitions=PARTITIONS)) == []
    elsewhere = attrs.evolve(
        settings,
        topic=servers.unique("events"),
        dead_letters_topic=servers.unique("letters"),
        late_events_topic=servers.unique("late"),
    )
    made = KafkaTopics(elsewhere).create(TopicSettings(partitions=1))
    assert sorted(made) == sorted([elsewhere.topic, elsewhere.dead_letters_topic, elsewhere.late_events_topic])
    described = topics.describe(settings.topic)
    assert (described.partitions, described.replication) == (PARTITIONS, 1)
    assert described.settings["message.timestamp.type"] == "LogAppendTime"
    assert described.settings["retention.ms"] == str(7 * 86_400_000)
    for outputs in (settings.dead_letters_topic, settings.late_events_topic):
        described = topics.describe(outputs)
        assert (described.partitions, described.settings["message.timestamp.type"]) == (PARTITIONS, "CreateTime")
        assert described.settings["cleanup.policy"] == "delete"
    topics.delete([settings.topic])
    deadline_s = time.monotonic() + 10
    while settings.topic in topics.list():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_records_behind_an_open_transaction_are_counted_as_hidden(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(settings.topic, b"v", b"k", partition=1)
    producer.flush()
    assert KafkaTopics(settings).describe(settings.topic).hidden == 3
    producer.commit_transaction()
    assert KafkaTopics(settings).describe(settings.topic).hidden == 0

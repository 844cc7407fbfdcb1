"""Brokers that do not answer, restart or let nobody in, while a topic of others is read."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from harness.checking.compare import compare
from harness.services.kafka import RESTART_OPTIONS, KafkaBroker, kafka_missing_reason
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.support import servers
from tests.support.bridges import (
    expected_ids,
    ids_by_customer,
    running,
    stop_the_log,
    view,
)
from tests.support.histories import embedded
from tests.support.topics import QUIET, WAIT_S, Topic, read_values

pytestmark = pytest.mark.xdist_group("kafka")


def open_and_read(source: Source) -> None:
    source.open({})
    read_values(source, 1)


def test_a_missing_topic_must_be_created_by_a_person(topic: Topic) -> None:
    source = topic.source(topic="nowhere")
    with pytest.raises(Unavailable, match=r"others: there is no topic nowhere at .*: create it") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)


def test_a_broker_that_does_not_answer_is_unreachable(topic: Topic) -> None:
    source = topic.source(brokers="127.0.0.1:9", request_timeout_ms=500)
    with pytest.raises(Unreachable):
        source.open({})


def test_a_user_who_may_not_read_the_topic_is_refused(topic: Topic) -> None:
    signed_in = servers.kafka_settings_signed_in()
    settings = KafkaTopicSettings(
        topic.name,
        signed_in.brokers,
        username=signed_in.username,
        password=signed_in.password,
        librdkafka=signed_in.librdkafka,
    )
    assert "a secret" not in repr(settings)
    denial = ("*", AclOperation.READ, AclPermissionType.DENY)
    rule = AclBinding(
        ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL, f"User:{signed_in.username}", *denial
    )
    for made in topic.admin.create_acls([rule]).values():
        made.result(WAIT_S)
    source = KafkaTopicSource("others", settings)
    topic.produce(b"a")
    try:
        with pytest.raises(Unavailable, match="Kafka does not let this user in") as raised:
            open_and_read(source)
        assert not isinstance(raised.value, Unreachable)
    finally:
        source.close()
        for deleted in topic.admin.delete_acls(
            [
                AclBindingFilter(
                    ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL, f"User:{signed_in.username}", *denial
                )
            ]
        ).values():
            deleted.result(WAIT_S)


def test_a_wrong_password_is_refused(topic: Topic) -> None:
    signed_in = servers.kafka_settings_signed_in()
    source = topic.source(
        brokers=signed_in.brokers,
        username=signed_in.username,
        password="guess",  # noqa: S106
        librdkafka=signed_in.librdkafka,
    )
    with pytest.raises(Unavailable, match="does not let this user in") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)


def test_offsets_that_cannot_be_committed_are_warned_of(topic: Topic) -> None:
    """A member of the group makes the broker refuse commits of others."""
    group = servers.unique("monitoring")
    member = Consumer({**QUIET, "bootstrap.servers": servers.kafka_address(), "group.id": group})
    member.subscribe([topic.name])
    while not member.assignment():
        member.poll(0.1)
    source = topic.source(group=group)
    topic.produce(b"a")
    source.open({})
    _, positions = read_values(source, 1)
    source.acknowledge(positions)
    deadline_s = time.monotonic() + WAIT_S
    while not source.warning():
        assert time.monotonic() < deadline_s
        source.read(1, 0.1)
    assert source.warning().startswith(f"the offsets of group {group} are not committed, reading goes on")
    source.close()
    member.close()


def test_a_broker_that_stops_for_a_while_loses_and_doubles_nothing(topic: Topic, tmp_path: Path) -> None:
    topic.produce(*(view(number) for number in range(100)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        source = topic.source(request_timeout_ms=1_000)
        with running(pipeline, source) as run:
            run.wait_until(lambda progress: progress.published == 100)
            with servers.kafka_stopped():
                run.wait_until(lambda progress: progress.problem != "")
            topic.produce(*(view(number) for number in range(100, 200)))
            run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
        assert ids_by_customer(pipeline) == expected_ids(range(200))
        pipeline.process()
        assert compare(pipeline)[1] == []


def test_a_broker_that_is_restarted_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A broker that has just started may not know its topics yet."""
    if kafka_missing_reason() is not None:
        pytest.skip(str(kafka_missing_reason()))
    broker = KafkaBroker(tmp_path / "kafka")
    broker.process.start()
    try:
        topic = Topic(broker=broker.endpoint)
        topic.produce(*map(view, range(100)))
        with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
            with running(pipeline, topic.source(request_timeout_ms=1_000)) as run:
                run.wait_until(lambda progress: progress.published == 100)
                broker.process.kill()
                run.wait_until(lambda progress: progress.problem != "")
                broker.process.start(*RESTART_OPTIONS)
                topic.produce(*map(view, range(100, 200)))
                run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            assert ids_by_customer(pipeline) == expected_ids(range(200))
    finally:
        broker.process.kill()


def test_a_log_that_takes_nothing_stops_the_reading(topic: Topic, tmp_path: Path) -> None:
    """One batch is in memory, and the client's queue has a limit; the rest stays in the topic."""
    stop_the_log(embedded("sqlite", tmp_path), topic.source(), lambda numbers: topic.produce(*map(view, numbers)))

"""Rebalances, positions outside the log, and transactions in the log's topic."""

import time
from pathlib import Path
from typing import Literal

import attrs
import msgspec
import pytest
from confluent_kafka import Producer

from harness.services.kafka import RESTART_OPTIONS, kafka_broker
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.contracts.event_log import PARTITIONS, LateOwner, Owner
from tests.support import servers
from tests.support.histories import event

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_partitions_that_cannot_be_claimed_yet_return_no_records(
    settings: KafkaSettings, protocol: Literal["consumer", "classic"]
) -> None:
    publisher = KafkaEventPublisher(settings, NoObserver())
    publisher.publish([Outgoing(b"%d" % number, b"%d" % number) for number in range(60)])
    KafkaTopics(settings).truncate(settings.topic, dict.fromkeys(range(PARTITIONS), 5))
    log, owner, ends = KafkaEventLog(attrs.evolve(settings, group_protocol=protocol)), LateOwner(), 0.0
    log.subscribe(owner)
    deadline_s = time.monotonic() + 30
    while len(owner.held) < PARTITIONS or time.monotonic() < ends:
        assert log.poll(10, 0.2) == []
        ends = ends or (len(owner.held) == PARTITIONS and time.monotonic() + 1.0) or 0.0
        assert time.monotonic() < deadline_s
    log.close()
    publisher.close()


def test_a_classic_member_without_partitions_reports_that_brokers_do_not_answer(tmp_path: Path) -> None:
    """A classic group revokes the partitions of its members when the brokers do not answer."""
    with kafka_broker(tmp_path) as broker:
        short_timeouts = KafkaSettings(
            brokers=broker.endpoint,
            group_protocol="classic",
            request_timeout_ms=2_000,
            transaction_timeout_ms=1_000,
            librdkafka={"session.timeout.ms": 3_000, "heartbeat.interval.ms": 500},
        )
        KafkaTopics(attrs.evolve(short_timeouts, request_timeout_ms=15_000)).create(TopicSettings(partitions=1))
        log, owner = KafkaEventLog(short_timeouts), Owner()
        log.subscribe(owner)
        deadline_s = time.monotonic() + 30
        while not owner.held:
            log.poll(1, 0.2)
            assert time.monotonic() < deadline_s
        broker.process.kill()
        with pytest.raises(Unreachable, match="does not answer about topic"):
            nothing_is_read(log, 20)
        assert not owner.held
        broker.process.start(*RESTART_OPTIONS)
        log.close()


def test_a_missing_topic_is_named_with_the_command_that_creates_it() -> None:
    unavailable = KafkaSettings(brokers=servers.kafka_address(), topic=servers.unique("nowhere"))
    with pytest.raises(UnrecoverableState, match=r"topic nowhere-\d+: .*topics create"):
        KafkaEventLog(unavailable)


def test_brokers_that_do_not_answer_are_named_in_the_error() -> None:
    unavailable = KafkaSettings(brokers="127.0.0.1:1", request_timeout_ms=500)
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 does not answer about topic user_events"):
        KafkaEventLog(unavailable)


def test_a_position_outside_the_log_stops_the_worker(settings: KafkaSettings) -> None:
    publisher, log = KafkaEventPublisher(settings, NoObserver()), KafkaEventLog(settings)
    publisher.publish([Outgoing(b"k", b"x", partition=1)] * 3)
    log.subscribe(Owner({1: 99}))
    with pytest.raises(UnrecoverableState, match="the position to read from is not in the log any more"):
        nothing_is_read(log, 20)
    log.close()


def nothing_is_read(log: KafkaEventLog, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        assert log.poll(10, 0.2) == []


def test_records_of_an_aborted_transaction_are_not_read(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    for value, is_kept in ((b"aborted", False), (b"committed", True)):
        producer.begin_transaction()
        producer.produce(settings.topic, value, b"k", partition=1)
        producer.flush()
        (producer.commit_transaction if is_kept else producer.abort_transaction)()
    log = KafkaEventLog(settings)
    log.subscribe(Owner())
    read: list[bytes] = []
    deadline_s = time.monotonic() + 20
    while not read and time.monotonic() < deadline_s:
        read += [record.value for record in log.poll(10, 0.2)]
    assert read == [b"committed"]
    log.close()


def test_a_log_that_ends_in_a_transaction_marker_is_processed_to_its_end(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    with Pipeline(Settings(log="kafka", store="memory", kafka=settings)) as pipeline:
        for number in range(2):
            producer.begin_transaction()
            value = msgspec.json.encode(event(f"e{number}", user=None, product="mug"))
            producer.produce(settings.topic, value, partition=1)
            producer.commit_transaction()
            assert pipeline.process() == {RecordClass.APPLIED: 1 + number}
            assert pipeline.container.log().bounds([1])[1] == (0, 2 + 2 * number)

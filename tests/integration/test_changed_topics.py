"""Topics that are made again, truncated or given more partitions, and the rebuild of a store."""

import os
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import UnrecoverableState, WrongLog
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import describe_topic
from tests.integration.kafka_and_redis import HISTORY, START_MS, on_kafka, wait_for_records, written
from tests.support import servers
from tests.support.histories import append, differences, event

pytestmark = pytest.mark.xdist_group("kafka")


def test_a_rebuild_needs_that_no_worker_runs_and_emits_nothing_twice() -> None:
    settings = on_kafka()
    with Pipeline(settings) as other:
        append(other, HISTORY)
        with Pipeline(settings) as worker, worker.processing():
            wait_for_records(other, len(HISTORY))
            with pytest.raises(UnrecoverableState, match="1 worker is running: end them"):
                other.rebuild()
        letters = other.container.customer_queries().counts()[RecordClass.DEAD_LETTER]
        assert other.rebuild() == len(HISTORY)
        assert other.container.customer_queries().counts() == {}
        assert sum(other.process().values()) == len(HISTORY)
        assert len(other.dead_letters(1_000)) == letters
        assert differences(other) == []


def test_a_topic_made_again_under_a_worker_stops_it() -> None:
    settings = on_kafka(partitions=1)
    with Pipeline(settings) as worker, Pipeline(settings) as other:
        append(other, HISTORY[:50])
        worker.process()
        topics = other.container.topics()
        topics.delete([settings.kafka.topic])
        while settings.kafka.topic not in topics.create(TopicSettings(partitions=1)):
            time.sleep(0.1)
        other.container.publisher.reset()
        append(other, HISTORY)
        with pytest.raises(WrongLog, match="was made again, or given more partitions, under the worker"):
            nothing_is_folded(worker, 60)
        assert sum(other.container.customer_queries().counts().values()) == 50


def nothing_is_folded(pipeline: Pipeline, seconds: float) -> None:
    before = pipeline.container.customer_queries().counts()
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        pipeline.container.process_events()(0.2)
        assert pipeline.container.customer_queries().counts() == before


def test_a_store_is_not_rebuilt_from_a_truncated_log() -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:100])
        counts = pipeline.process()
        pipeline.container.topics().truncate(settings.kafka.topic, {0: 1})
        with pytest.raises(
            UnrecoverableState, match=r"no longer holds what came before position 1 of partition 0; a store"
        ):
            pipeline.rebuild()
        assert pipeline.container.customer_queries().counts() == counts


def test_a_topic_that_was_made_again_is_another_log() -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:50])
        pipeline.process()
    other = attrs.evolve(settings, kafka=servers.kafka_settings(4))
    with Pipeline(other) as pipeline, pytest.raises(WrongLog, match=r"was built from log .*use another namespace"):
        pipeline.process()


def test_a_topic_with_more_partitions_stops_the_worker_with_the_whole_way_out(tmp_path: Path) -> None:
    """The message's commands mend it, also for customers with more events than their deduplication window holds."""
    settings = on_kafka(partitions=2)
    remembered = settings.fold.profile.dedup_events
    bought = [
        event(f"b{number}-{turn}", "purchase", user=f"u{number}", at_ms=START_MS + turn, product="mug", price=2)
        for turn in range(remembered + 12)
        for number in range(10)
    ]
    with Pipeline(settings) as pipeline:
        append(pipeline, [*bought[:100], b"garbage"])
        assert pipeline.process() == {RecordClass.APPLIED: 100, RecordClass.DEAD_LETTER: 1}
    admin = AdminClient({"bootstrap.servers": settings.kafka.brokers})
    (grown,) = admin.create_partitions([NewPartitions(settings.kafka.topic, 4)]).values()
    grown.result(30)
    _wait_for_partitions(settings, 4)
    with Pipeline(settings) as pipeline:
        pipeline.publish(bought[100:])
        with pytest.raises(WrongLog, match=r"had 2 partitions and has 4: .*\(misrouted\)") as stopped:
            pipeline.process()
    kafka = attrs.evolve(settings.kafka, group=servers.unique("group"))
    settings = attrs.evolve(settings, kafka=kafka, redis=servers.redis_settings())
    with Pipeline(settings) as pipeline:
        counts = pipeline.process()
        letters = counts[RecordClass.DEAD_LETTER] - 1
        assert 0 < letters < 100
        _, _, way_out = str(stopped.value).rpartition(": ")
        command = way_out.replace("realtime-pipeline", f"{sys.executable} -m realtime_pipeline.interfaces.cli.main")
        environment = os.environ | {"REALTIME_PIPELINE_SETTINGS": str(written(tmp_path, settings))}
        printed = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        assert printed.startswith(f"{counted(letters, 'dead letter')} published again")
        assert pipeline.process() == {RecordClass.APPLIED: len(bought), RecordClass.DEAD_LETTER: letters + 1}
        spent = [pipeline.profile(f"u{number}").customer.purchases.spend for number in range(10)]
        assert spent == [20_000 * (remembered + 12)] * 10


def _wait_for_partitions(settings: Settings, partitions: int) -> None:
    deadline_s = time.monotonic() + 30
    while describe_topic(settings.kafka, settings.kafka.topic).partitions != partitions:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)

"""The group's offsets are the positions up to which outputs were emitted; tools or retention delete or change them."""

from collections.abc import Callable
from pathlib import Path

import attrs
import msgspec
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from harness.checking.compare import compare
from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from realtime_pipeline.interfaces.cli.main import main
from tests.integration.kafka_and_redis import on_kafka, written
from tests.support.histories import append, event
from tests.support.workers import Crash, CrashAt, new_worker

pytestmark = pytest.mark.xdist_group("kafka")

START_MS = 1_700_000_000_000
SHOP = [msgspec.json.encode(document) for document in Shop(5, 60, 20, START_MS, dirt=0.2).events(120)]
VISITORS = [
    msgspec.json.encode(document)
    for number in range(20)
    for document in (
        event(f"v{number}", user=None, session=f"s{number}", product="mug", at_ms=START_MS),
        event(f"in{number}", "login", user=f"u{number}", session=f"s{number}", at_ms=START_MS),
    )
]
HISTORY = SHOP[:60] + VISITORS + SHOP[60:]
"""Dead letters, and visitors whose profiles are merged into customers of other partitions."""


def quick_to_emit(settings: Settings) -> Settings:
    """Make rounds of few records, each emitted at once."""
    kafka = attrs.evolve(settings.kafka, outputs_linger_ms=0)
    return attrs.evolve(settings, kafka=kafka, worker=WorkerSettings(round_records_max=30))


def delete_offsets(settings: Settings) -> None:
    """Delete offsets, as a tool does, or brokers when a group had no members for long."""
    KafkaTopics(settings.kafka).delete_offsets()


def set_offsets(settings: Settings) -> None:
    """Set offsets, as `kafka-consumer-groups --reset-offsets --to-offset 10` does."""
    kafka, admin = settings.kafka, AdminClient({"bootstrap.servers": settings.kafka.brokers})
    topic_partitions = [TopicPartition(kafka.topic, number, 10) for number in range(4)]
    (changed,) = admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(kafka.group, topic_partitions)]
    ).values()
    changed.result(30)


def die_at(settings: Settings, stage: Stage, times: int) -> None:
    """Crash a worker at a stage; it loses its memory."""
    with Pipeline(settings) as worker:
        new_worker(worker, CrashAt(stage, times))
        with pytest.raises(Crash):
            worker.process()


def check_each_once(pipeline: Pipeline, published: int) -> None:
    """Check that store and dead letters equal the oracle's, and that the log holds each message once."""
    expected, found = compare(pipeline)
    assert found == []
    assert expected.counts[RecordClass.DEAD_LETTER] > 0
    assert expected.messages_expected > 0
    assert sum(expected.counts.values()) == published + expected.messages_expected


@pytest.mark.parametrize("lose", [delete_offsets, set_offsets])
def test_offsets_lost_while_nothing_is_pending_are_recovered_from_the_store(lose: Callable[[Settings], None]) -> None:
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:120])
        pipeline.process()
    lose(settings)
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[120:])
        pipeline.process()
        check_each_once(pipeline, len(HISTORY))


@pytest.mark.parametrize(("stage", "times"), [(Stage.COMMITTED, 3), (Stage.EMITTED, 1)])
def test_outputs_pending_when_offsets_are_lost_are_emitted_once(stage: Stage, times: int) -> None:
    """The worker finds outputs in the topics that are emitted and not in the owner's notes."""
    settings = quick_to_emit(on_kafka())
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        die_at(settings, stage, times)
        delete_offsets(settings)
        pipeline.process()
        check_each_once(pipeline, len(HISTORY))


def test_a_truncated_log_does_not_matter_when_all_its_records_are_processed() -> None:
    """Also where transaction markers were behind the last record and are deleted with it."""
    settings = on_kafka()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        before = pipeline.process()
        log, topics = pipeline.container.log(), pipeline.container.topics()
        ends = {number: end for number, (_, end) in log.bounds(range(4)).items()}
        assert ends != pipeline.container.cells().positions(range(4))
        letters = len(pipeline.dead_letters(1_000))
        topics.truncate(settings.kafka.topic, ends)
    delete_offsets(settings)
    with Pipeline(settings) as pipeline:
        append(pipeline, [*SHOP, b"garbage"])
        counts = pipeline.process()
        assert sum(counts.values()) == sum(before.values()) + len(SHOP) + 1
        assert counts[RecordClass.APPLIED] == before[RecordClass.APPLIED]  # the shop's events have come before
        assert (
            len(pipeline.dead_letters(1_000))
            == letters + counts[RecordClass.DEAD_LETTER] - before[RecordClass.DEAD_LETTER]
        )


@pytest.mark.parametrize(("in_doubt", "letters"), [("again", 2), ("skip", 1)])
def test_outputs_in_doubt_stop_the_worker_with_the_command_that_mends_it(
    in_doubt: str, letters: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker dies after it has emitted, offsets are deleted, and the topic's retention has deleted the outputs."""
    settings = quick_to_emit(on_kafka(partitions=1))
    file = str(written(tmp_path, settings))
    with Pipeline(settings) as pipeline:
        append(pipeline, [b"garbage", event("1", user="ada", product="mug")])
        die_at(settings, Stage.EMITTED, 1)
        assert len(pipeline.dead_letters()) == 1
        pipeline.container.topics().truncate(settings.kafka.dead_letters_topic, {0: 2})
        delete_offsets(settings)
        for _ in range(2):  # every worker finds the same
            with (
                Pipeline(settings) as worker,
                pytest.raises(UnrecoverableState, match=r"the group's offsets are gone .*restore"),
            ):
                worker.process()
        assert main(["outputs", "restore", "--in-doubt", in_doubt, "--settings", file]) == 0
        assert "partition 0: outputs are emitted from position" in capsys.readouterr().out
        append(pipeline, [b"more garbage"])
        pipeline.process()
        assert len(pipeline.dead_letters()) == letters
        customer = pipeline.container.customer_queries().read_customer(CustomerId("ada"))
        assert customer is not None
        assert pipeline.container.customer_queries().counts() == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 2}
    assert main(["outputs", "restore", "--in-doubt", in_doubt, "--settings", file]) == 0
    assert "known for every partition: nothing was changed" in capsys.readouterr().out

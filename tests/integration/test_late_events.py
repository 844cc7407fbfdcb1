"""Late events in a real topic: each emitted once, whoever works, and whatever is lost."""

import time

import attrs
import pytest

from realtime_pipeline import Pipeline, RetainedCode, Settings
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.integration.kafka_and_redis import on_kafka
from tests.support.histories import append, differences
from tests.support.windows import COUNT, MINUTE, view
from tests.support.workers import Crash, CrashAt, new_worker

pytestmark = pytest.mark.xdist_group("kafka")

MINUTES = WindowedAggregate("minutes", MINUTE, COUNT, bound_ms=0, lateness_ms=0)
SLIDING = WindowedAggregate("sliding", Window(60_000, 20_000), COUNT, bound_ms=0, lateness_ms=0)
HISTORY = [
    view(f"{user} {number}", second, user=user)
    for user in ("ada", "bob", "cyd")
    for number, second in enumerate((1_000, 5, 1_001, 950, 1_002, 7, 930))
]
"""Of each customer, the events at 5 s and 7 s are late for both definitions; those of 950 s and 930 s, whose minutes
end at 960 s, too: of the sliding windows that contain 950 s, the last ends at 1,000 s."""


def settings_of(partitions: int = 2) -> Settings:
    settings = on_kafka(partitions=partitions)
    kafka = attrs.evolve(settings.kafka, outputs_linger_ms=0)
    worker = WorkerSettings(round_records_max=3)
    return attrs.evolve(settings, kafka=kafka, worker=worker, analytics=AnalyticsSettings((MINUTES, SLIDING)))


def test_late_events_are_emitted_once_to_their_topic() -> None:
    settings = settings_of()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[:10])
        pipeline.process()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY[10:])
        append(pipeline, HISTORY)  # duplicates
        pipeline.process()
        assert len(pipeline.late_events(100)) == 3 * 4
        assert differences(pipeline) == []
        (late, *_) = pipeline.late_events(definition="sliding")
        assert pipeline.late_event(late.id) == late
        assert dict(late.missed) == {"minutes": 1, "sliding": 3}


@pytest.mark.parametrize("stage", [Stage.COMMITTED, Stage.OUTPUTS_SENT, Stage.POSITIONS_SENT, Stage.EMITTED])
def test_a_takeover_neither_loses_nor_doubles_late_events(stage: Stage) -> None:
    settings = settings_of()
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        with Pipeline(settings) as dying:
            new_worker(dying, CrashAt(stage, 2))
            with pytest.raises(Crash):
                dying.process()
        pipeline.process()
        deadline_s = time.monotonic() + 30
        while len(pipeline.late_events(100)) < 3 * 4:  # until the brokers abort the transaction that was left open
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        assert differences(pipeline) == []


def test_late_events_that_were_emitted_are_found_when_the_offsets_are_lost() -> None:
    settings = settings_of(1)
    with Pipeline(settings) as pipeline:
        append(pipeline, HISTORY)
        with Pipeline(settings) as dying:
            new_worker(dying, CrashAt(Stage.EMITTED, 1))
            with pytest.raises(Crash):
                dying.process()
        KafkaTopics(settings.kafka).delete_offsets()
        pipeline.process()
        assert differences(pipeline) == []


def test_late_events_in_kafka_outlive_their_customer() -> None:
    with Pipeline(settings_of()) as pipeline:
        append(pipeline, HISTORY)
        pipeline.process()
        forgetting = pipeline.forget("ada")
        pipeline.process()
        receipt = pipeline.receipt(forgetting)
        assert (receipt.is_done, receipt.left["late_events"]) == (True, 0)
        stays = {retained.code: retained.as_dict() for retained in receipt.stays}
        assert stays[RetainedCode.LATE_EVENTS] == {"code": "late_events", "until": "topic_retention", "count": 4}
        assert sum(late.customer_id == "ada" for late in pipeline.late_events(100)) == 4
        assert differences(pipeline) == []

"""RelaySchedule: when outbox entries are merged, emitted, verified and trimmed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.processing import relay_schedule
from realtime_pipeline.application.processing.relay_schedule import VERIFY_EVERY_MS
from tests.support.engine import Engine
from tests.support.histories import SMALL, append, differences, embedded, event, opened
from tests.support.workers import HISTORY, LingeringViews, let_time_pass

LINGER_MS = LingeringViews.linger_ms


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """In memory; its views may be merged `LINGER_MS` after a commit, or after 30 records."""
    with opened(embedded("memory", tmp_path, SMALL)) as made:
        views = LingeringViews(1, listed_sessions_max=3, activity_retention_hours=100)
        made.container.views.override(providers.Object(views))
        yield made


@pytest.fixture
def engine(pipeline: Pipeline, lingering_outputs: object) -> Engine:
    """An engine that has merged and emitted the first records of both partitions just now."""
    engine = Engine(pipeline)
    engine.claim(0, 1)
    process(pipeline, engine, 0, 4)
    engine.run_schedule()
    assert behind(pipeline) == {"views": 0, "outputs": 0}
    return engine


def process(pipeline: Pipeline, engine: Engine, begin: int, end: int) -> None:
    """Append records of the history, and process them."""
    append(pipeline, HISTORY[begin:end])
    for partition in (0, 1):
        engine.process(engine.unprocessed(partition))


def behind(pipeline: Pipeline) -> dict[str, int]:
    """By how many records the views and the outputs of both partitions are behind their cells."""
    container = pipeline.container
    committed = sum(container.cells().positions([0, 1]).values())
    merged = sum(min(positions) for positions in container.views().positions([0, 1]).values())
    emitted = sum(container.outputs().positions([0, 1]).values())
    return {"views": committed - merged, "outputs": committed - emitted}


def test_entries_are_buffered_for_linger_ms_before_they_are_merged(pipeline: Pipeline) -> None:
    views, worker = pipeline.container.views(), pipeline.container.process_events()
    for number in range(5):
        append(pipeline, HISTORY[number * 4 : number * 4 + 4])
        worker(0)
    merged = sum(min(positions) for positions in views.positions([0, 1]).values())
    assert merged < 20 == sum(pipeline.container.cells().positions([0, 1]).values())
    let_time_pass(pipeline, LINGER_MS)
    worker(0)
    assert views.positions([0, 1]) == {
        partition: (position,) for partition, position in pipeline.container.cells().positions([0, 1]).items()
    }
    append(pipeline, HISTORY[20:])
    worker(0)
    worker.drain()
    assert differences(pipeline) == []


def test_nothing_is_merged_or_emitted_before_linger_ms_have_passed(pipeline: Pipeline, engine: Engine) -> None:
    process(pipeline, engine, 4, 14)
    engine.run_schedule()
    let_time_pass(pipeline, LINGER_MS - 1)
    engine.run_schedule()
    assert behind(pipeline) == {"views": 10, "outputs": 10}
    let_time_pass(pipeline, 1)
    engine.run_schedule()
    assert behind(pipeline) == {"views": 0, "outputs": 0}


def test_a_clock_that_is_set_back_does_not_delay_merges_and_emissions(pipeline: Pipeline, engine: Engine) -> None:
    process(pipeline, engine, 4, 14)
    let_time_pass(pipeline, -1)
    engine.run_schedule()
    assert behind(pipeline) == {"views": 0, "outputs": 0}


def test_a_flush_merges_and_emits_once(pipeline: Pipeline, engine: Engine) -> None:
    process(pipeline, engine, 4, 14)
    lingers = [engine.schedule.lingers]
    engine.schedule.flush_next()
    lingers.append(engine.schedule.lingers)
    engine.run_schedule()
    lingers.append(engine.schedule.lingers)
    assert lingers == [True, False, True]
    assert behind(pipeline) == {"views": 0, "outputs": 0}
    process(pipeline, engine, 14, 24)
    engine.run_schedule()
    assert behind(pipeline) == {"views": 10, "outputs": 10}


def test_enough_records_are_merged_at_once(pipeline: Pipeline, engine: Engine) -> None:
    process(pipeline, engine, 4, 4 + LingeringViews.merge_records_max - 1)
    assert behind(pipeline)["views"] == LingeringViews.merge_records_max - 1
    append(pipeline, [event("another", product="mug")])
    for partition in (0, 1):
        engine.process(engine.unprocessed(partition))
    assert behind(pipeline)["views"] == 0


def test_enough_outputs_are_emitted_at_once(
    pipeline: Pipeline, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_schedule, "BUFFERED_MAX", 3)
    for count, expected in ((2, 2), (1, 0)):
        append(pipeline, [b"garbage"] * count)
        for partition in (0, 1):
            engine.process(engine.unprocessed(partition))
        engine.run_schedule()
        assert behind(pipeline)["outputs"] == expected


def test_drain_merges_and_emits_before_linger_ms_have_passed(pipeline: Pipeline, engine: Engine) -> None:
    process(pipeline, engine, 4, 14)
    engine.drain()
    assert behind(pipeline) == {"views": 0, "outputs": 0}
    assert differences(pipeline) == []


def test_positions_are_verified_once_a_second_or_on_request(pipeline: Pipeline, engine: Engine) -> None:
    schedule, verified = engine.schedule, []
    for pass_ms in (0, VERIFY_EVERY_MS - 1, 1, 0, -1):  # the last: a clock that is set back delays nothing
        let_time_pass(pipeline, pass_ms)
        verified.append(schedule.verify_and_trim(engine.owned))
    assert verified == [False, False, True, False, True]
    schedule.verify_next()
    assert schedule.verify_and_trim(engine.owned)


def test_expired_entries_are_trimmed_once_they_are_merged_and_emitted(pipeline: Pipeline, engine: Engine) -> None:
    cells = pipeline.container.cells()

    def outbox_ends() -> list[int]:
        return [max((entry.to_position for entry in cells.outbox(partition, 0)), default=0) for partition in (0, 1)]

    process(pipeline, engine, 4, 14)
    ends = [cells.positions([partition])[partition] for partition in (0, 1)]
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    engine.run_schedule()
    assert outbox_ends() == ends  # expired, but the views and the outputs lack these entries
    engine.drain()
    engine.schedule.verify_next()
    engine.run_schedule()
    assert outbox_ends() == [0, 0]

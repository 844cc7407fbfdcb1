"""A log that does not keep everything: the store is what it would be if it did, also when it is built again."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.laws.strategies import histories
from tests.support.histories import NOW_MS, SMALL, SetClock, append, embedded, in_pieces, opened, state
from tests.support.workers import Crash, CrashAt, let_time_pass, new_worker

STEP_MS = 1_000
KEPT = st.builds(
    LogRetentionSettings, age_ms=st.sampled_from([0, 1, 2 * STEP_MS]), bytes_max=st.sampled_from([0, 1, 500, 2_000])
)
CUTS = st.lists(st.integers(0, 60), max_size=2)


def kept_by(folder: str, retention: LogRetentionSettings, round_records_max: int) -> Pipeline:
    worker = WorkerSettings(round_records_max=round_records_max, cached_customers_max=2, idle_wait_ms=1)
    settings = attrs.evolve(embedded("sqlite", Path(folder), SMALL), log_retention=retention, worker=worker)
    return opened(settings, SetClock())


def check_kept(pipeline: Pipeline, settings: LogRetentionSettings) -> None:
    """All is processed: so nothing is in the log that it does not keep, and nothing has gone that it keeps."""
    database, now_ms = pipeline.container.database(), pipeline.container.clock().now_ms()
    sizes = database.rows("SELECT appended_at_ms, length(value) + ifnull(length(key), 0) FROM records")
    size = sum(size for _, size in sizes)
    assert database.rows("SELECT ifnull(sum(size), 0) FROM log_partitions") == [(size,)]
    if settings.bytes_max:
        assert size <= settings.bytes_max
    if settings.age_ms:
        assert all(at_ms > now_ms - settings.age_ms for at_ms, _ in sizes)
    for partition, (first, end) in pipeline.container.log().bounds([0, 1]).items():
        positions = database.rows("SELECT position FROM records WHERE partition = ?", (partition,))
        assert sorted(position for (position,) in positions) == list(range(first, end))


@given(
    history=histories(largest=20),
    again=histories(first=100, largest=5),
    cuts=CUTS,
    is_twice=st.booleans(),
    settings=KEPT,
    round_records_max=st.integers(1, 30),
)
def test_what_the_log_keeps_changes_nothing_in_the_store(
    history: list[bytes],
    again: list[bytes],
    cuts: list[int],
    is_twice: bool,
    settings: LogRetentionSettings,
    round_records_max: int,
) -> None:
    pieces = [*in_pieces(history * (2 if is_twice else 1), cuts), again]
    found = []
    for kept in (LogRetentionSettings(), settings):
        with tempfile.TemporaryDirectory() as folder, kept_by(folder, kept, round_records_max) as pipeline:
            for piece in pieces:
                append(pipeline, piece)
                pipeline.process()
                check_kept(pipeline, kept)
                before = state(pipeline)
                if kept is settings:
                    pipeline.rebuild()
                    pipeline.process()
                    assert state(pipeline) == before
                let_time_pass(pipeline, STEP_MS)
            found.append(before)
    assert found[0] == found[1]


@given(
    pieces=st.lists(histories(largest=10), min_size=1, max_size=2),
    stages=st.lists(
        st.tuples(st.sampled_from([Stage.SNAPSHOTTING, Stage.LOG_TRIMMING]), st.integers(1, 6)), max_size=3
    ),
    is_rebuilt=st.booleans(),
)
def test_a_worker_that_dies_amid_snapshots_and_removals_has_lost_nothing(
    pieces: Sequence[list[bytes]], stages: list[tuple[Stage, int]], is_rebuilt: bool
) -> None:
    """The one without retention is not disturbed, but processes as often."""
    found = []
    for kept in (LogRetentionSettings(), LogRetentionSettings(bytes_max=300)):
        with tempfile.TemporaryDirectory() as folder, kept_by(folder, kept, 5_000) as pipeline:
            for number, piece in enumerate(pieces):
                append(pipeline, piece)
                for stage, times in stages[number :: len(pieces)]:
                    new_worker(pipeline, CrashAt(stage, times))
                    try:
                        pipeline.process()
                    except Crash:
                        if is_rebuilt:
                            new_worker(pipeline)
                            pipeline.rebuild()
                new_worker(pipeline)
                pipeline.process()
                check_kept(pipeline, kept)
            found.append(state(pipeline))
    assert found[0] == found[1]


@given(
    history=histories(largest=20, garbage=False),
    settings=KEPT.filter(lambda settings: settings != LogRetentionSettings()),
    cuts=CUTS,
)
def test_no_snapshot_brings_a_forgotten_customer_back(
    history: list[bytes], settings: LogRetentionSettings, cuts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder, kept_by(folder, settings, 20) as pipeline:
        for piece in in_pieces(history, cuts):
            append(pipeline, piece)
            pipeline.process()
            let_time_pass(pipeline, STEP_MS)
        forgetting = pipeline.forget("ada")
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        pipeline.rebuild()
        assert "ada" not in state(pipeline)["customers"] or not pipeline.receipt(forgetting).is_done
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert "ada" not in state(pipeline)["customers"]
        assert pipeline.container.clock().now_ms() >= NOW_MS

"""ProcessRecords: records of owned cells are committed once, in order, whoever has read them."""

from itertools import pairwise
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Fenced, WrongLog
from realtime_pipeline.application.ports.observer import Stage
from tests.support.engine import Engine
from tests.support.histories import KINDS, Kind, append, differences, embedded, event, opened, state
from tests.support.workers import HISTORY, Crash, CrashAt, new_worker


@KINDS
@pytest.mark.parametrize("batch_size", [1, 16, 1_000])
def test_an_engine_without_a_worker_processes_records_of_any_batch_size(
    kind: Kind, batch_size: int, tmp_path: Path
) -> None:
    history = HISTORY[:60] if batch_size == 1 else HISTORY
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, history)
        engine = Engine(pipeline)
        engine.claim(0, 1)
        engine.process_all(batch_size)
        assert sum(pipeline.container.customer_queries().counts().values()) >= len(history)
        assert differences(pipeline) == []


@KINDS
def test_each_partition_may_have_an_engine_of_its_own(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        engines = [Engine(pipeline), Engine(pipeline)]
        for partition, engine in enumerate(engines):
            engine.claim(partition)
        while any(engine.unprocessed(partition) for partition, engine in enumerate(engines)):
            for engine in engines:
                engine.process_all(20)
        assert differences(pipeline) == []


def test_a_commit_covers_every_record_of_the_batch(pipeline: Pipeline) -> None:
    append(pipeline, [*HISTORY, event("look", user=None, session="s1"), event("sign-in", "login", session="s1")])
    engine = Engine(pipeline)
    engine.claim(0, 1)
    commits_with_messages = 0
    for partition in (0, 1):
        records = engine.unprocessed(partition)
        committed = engine.commit(records)
        entries = committed.entries
        assert (entries[0].from_position, entries[-1].to_position) == (0, len(records))
        assert all(before.to_position == entry.from_position for before, entry in pairwise(entries))
        assert sum(committed.counts.values()) == len(records)
        assert pipeline.container.cells().positions([partition]) == {partition: len(records)}
        assert committed.appends == any(entry.outgoing for entry in entries)
        commits_with_messages += committed.appends
    assert commits_with_messages > 0


def test_a_batch_that_is_handed_over_again_is_not_committed_again(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    engine = Engine(pipeline)
    engine.claim(0, 1)
    records = engine.unprocessed(0)
    assert engine.commit(records[:30]).counts
    before = state(pipeline)
    again = engine.commit(records[:30])
    assert (again.entries, again.counts, again.appends) == ([], {}, False)
    assert state(pipeline) == before
    overlapping = engine.commit(records[20:40])  # only the last ten are new
    assert (sum(overlapping.counts.values()), overlapping.entries[0].from_position) == (10, 30)


def test_records_of_a_partition_without_an_owned_cell_are_dropped(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    engine, other = Engine(pipeline), Engine(pipeline)
    engine.claim(0)
    other.claim(1)
    committed = engine.commit(other.unprocessed(1))
    assert (committed.entries, committed.counts) == ([], {})
    assert pipeline.container.cells().positions([0, 1]) == {0: 0, 1: 0}


@KINDS
def test_an_engine_that_ends_between_commit_and_relay_loses_and_doubles_nothing(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        new_worker(pipeline, CrashAt(Stage.COMMITTED, 2))
        engine = Engine(pipeline)
        engine.claim(0, 1)
        batches = [engine.unprocessed(partition)[:40] for partition in (0, 1)]
        engine.process(batches[0])
        with pytest.raises(Crash):
            engine.process(batches[1])
        new_worker(pipeline)
        restarted = Engine(pipeline)
        restarted.claim(0, 1)
        for batch in batches:  # the source repeats what was not acknowledged
            restarted.process(batch)
        restarted.process_all(40)
        assert differences(pipeline) == []


@KINDS
def test_an_engine_whose_cell_was_claimed_by_another_is_fenced(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        first, second = Engine(pipeline), Engine(pipeline)
        first.claim(0, 1)
        first.process(first.unprocessed(0)[:40])
        second.claim(0, 1)
        before = state(pipeline)
        with pytest.raises(Fenced):
            first.commit(first.unprocessed(0)[:40])
        assert state(pipeline) == before
        second.process_all(40)
        assert differences(pipeline) == []


def test_no_record_of_another_log_is_committed(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    before = state(pipeline)
    append(pipeline, HISTORY[60:])

    def raise_wrong_log() -> None:
        raise WrongLog("another")

    monkeypatch.setattr(pipeline.container.log(), "verify_identity", raise_wrong_log)
    worker = pipeline.container.process_events()
    for _ in range(2):
        with pytest.raises(WrongLog):
            worker(0)
    worker.drain()
    assert state(pipeline) == before


def test_records_that_are_polled_again_are_not_folded_again(pipeline: Pipeline) -> None:
    """As a Kafka client may return records again after a rebalance."""
    append(pipeline, HISTORY)
    pipeline.process()
    before = state(pipeline)
    log, worker = pipeline.container.log(), pipeline.container.process_events()
    log.seek(dict.fromkeys(log.bounds(range(2)), 3))
    for _ in range(len(HISTORY) // 20 + 1):
        worker(0)
    assert state(pipeline) == before

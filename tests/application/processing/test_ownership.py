"""Ownership: a worker that was fenced, or whose claim failed, claims its cells again and continues."""

from pathlib import Path

import pytest

from realtime_pipeline import Pipeline
from tests.support.histories import KINDS, Kind, append, differences, embedded, event, opened
from tests.support.workers import HISTORY, Crash, new_worker


def crash(*_: object) -> None:
    raise Crash


def test_a_fenced_worker_claims_again_and_continues(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    cells, views, outputs = pipeline.container.cells(), pipeline.container.views(), pipeline.container.outputs()
    for port in (cells, views, outputs):  # another worker has claimed every cell meanwhile, and ended
        for partition in (0, 1):
            port.claim(partition, cells.epoch(partition) + 5)
    append(pipeline, HISTORY[60:])
    pipeline.process()
    assert differences(pipeline) == []


def test_two_workers_with_the_same_partitions_count_nothing_twice(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    first, first_worker = pipeline.container.process_events(), pipeline.container.worker()
    first(0)
    new_worker(pipeline)
    second = pipeline.container.process_events()
    for _ in range(4):  # each is refused after the other has claimed, claims again, and continues
        second(0)
        first(0)
    first_worker.catch_up()
    assert differences(pipeline) == []


@KINDS
def test_a_failed_claim_is_repeated(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        cells = pipeline.container.cells()
        with monkeypatch.context() as broken:
            broken.setattr(cells, "claim", crash)
            for _ in range(2):
                with pytest.raises(Crash):
                    pipeline.process()
        assert sum(pipeline.process().values()) == len(HISTORY)
        with monkeypatch.context() as broken:
            broken.setattr(cells, "commit", crash)
            broken.setattr(cells, "claim", crash)
            append(pipeline, [event("another", user="zoe", product="mug")])
            for _ in range(2):
                with pytest.raises(Crash):
                    pipeline.process()
        assert sum(pipeline.process().values()) == len(HISTORY) + 1
        assert differences(pipeline) == []

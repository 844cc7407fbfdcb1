"""Back-pressure: a worker whose outboxes or stores are full trims, and polls nothing until there is room."""

from typing import Any

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unreachable
from realtime_pipeline.application.processing import backoff
from tests.support.histories import SMALL, append, differences
from tests.support.workers import HISTORY, let_time_pass


def report_gigabytes(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the cells report that each outbox entry takes a gigabyte of the store."""
    cells = pipeline.container.cells()
    write = cells.commit
    monkeypatch.setattr(cells, "commit", lambda commits: [len(write([commit])) << 30 for commit in commits])


def test_a_worker_polls_nothing_while_its_outboxes_are_too_large(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_gigabytes(pipeline, monkeypatch)
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    assert worker(0).records > 0
    assert worker(0).records == 0
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    assert worker(0).records == 0  # this round trims the outboxes and resumes the partitions
    assert worker(0).records > 0


def test_a_clock_that_is_set_back_does_not_prolong_backpressure(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_gigabytes(pipeline, monkeypatch)
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    assert [worker(0).records > 0 for _ in range(2)] == [True, False]
    let_time_pass(pipeline, -86_400_000)
    assert [worker(0).records > 0 for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("port", "name"), [("cells", "commit"), ("views", "merge")])
def test_a_full_store_is_trimmed(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, port: str, name: str) -> None:
    """It accepts no commit, or no merge, while more than one outbox entry could be trimmed."""
    monkeypatch.setattr(backoff, "RETRY_WAIT_S", 0.0)
    cells, store = pipeline.container.cells(), getattr(pipeline.container, port)()
    write = getattr(store, name)

    def write_unless_full(batch: Any, *more: Any) -> Any:
        merged_to = pipeline.container.views().positions([0, 1])
        outbox = [entry for partition in (0, 1) for entry in cells.outbox(partition, 0)]
        if sum(entry.to_position <= min(merged_to[entry.partition]) for entry in outbox) > 1:
            let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
            raise Unreachable("used memory > 'maxmemory'")
        return write(batch, *more)

    monkeypatch.setattr(store, name, write_unless_full)
    append(pipeline, HISTORY)
    pipeline.process()
    assert differences(pipeline) == []

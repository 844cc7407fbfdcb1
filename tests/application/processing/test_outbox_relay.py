"""OutboxRelay: an entry is trimmed only after views and outputs have it, and positions are verified."""

from copy import deepcopy

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from tests.support.histories import SMALL, append, differences
from tests.support.workers import HISTORY, let_time_pass, new_worker


def test_entries_that_were_not_emitted_are_not_trimmed(pipeline: Pipeline, lingering_outputs: MemoryOutputs) -> None:
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    for _ in range(60):
        worker(0)
        let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    cell_positions = pipeline.container.cells().positions([0, 1])
    output_positions = lingering_outputs.positions([0, 1])
    assert all(output_positions[partition] < cell_positions[partition] for partition in (0, 1))
    assert worker(0).problem == ""
    new_worker(pipeline)  # the first worker ends, and what it has buffered is lost
    pipeline.process()
    assert differences(pipeline) == []


@pytest.mark.parametrize("port", ["views", "cells", "outputs"])
def test_positions_that_go_back_under_an_idle_worker_are_detected(pipeline: Pipeline, port: str) -> None:
    """As when a replica that lacks the newest commits takes over, and no record comes whose commit would be refused."""
    store = getattr(pipeline.container, port)()
    append(pipeline, HISTORY[:60])
    pipeline.process()
    replica = deepcopy({name: value for name, value in vars(store).items() if name != "_publisher"})
    append(pipeline, HISTORY[60:])
    pipeline.process()
    vars(store).update(replica)
    let_time_pass(pipeline, 1_000)
    worker = pipeline.container.process_events()
    for _ in range(60):
        worker(0)
    assert differences(pipeline) == []

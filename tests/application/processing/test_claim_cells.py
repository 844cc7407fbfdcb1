"""ClaimCells: the position to read from, and the gaps between cell, views, outputs and log that stop the worker."""

from collections.abc import Collection, Iterator, Mapping

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.snapshots import NoSnapshots
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import SMALL, append, differences
from tests.support.workers import HISTORY, let_time_pass, new_worker


class ShortenedLog(MemoryEventLog):
    """A log whose retention has deleted the records before `first_position`."""

    first_position = 0

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        ends = {partition: end for partition, (_, end) in super().bounds(partitions).items()}
        return {partition: (min(self.first_position, end), end) for partition, end in ends.items()}


def replace_views(pipeline: Pipeline, view_cells: int) -> None:
    """Replace the views by empty ones."""
    views = MemoryViews(view_cells, listed_sessions_max=3, activity_retention_hours=100)
    pipeline.container.views.override(providers.Object(views))
    pipeline.container.relay.reset()


def test_a_new_store_starts_at_the_first_position_of_the_log(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    memory_log = pipeline.container.memory_log()
    log = ShortenedLog(memory_log)
    log.first_position = 5
    pipeline.container.log.override(providers.Object(log))
    pipeline.container.process_events()(0)  # claims and polls
    for _ in range(2):
        pipeline.container.process_events.reset()
        pipeline.process()
    assert sum(pipeline.container.customer_queries().counts().values()) == len(HISTORY) - 2 * 5
    ends = {partition: len(records) for partition, records in enumerate(memory_log.records)}
    assert pipeline.container.cells().positions([0, 1]) == ends
    assert pipeline.container.outputs().positions([0, 1]) == ends


def test_views_behind_a_trimmed_outbox_stop_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    pipeline.process()
    replace_views(pipeline, view_cells=1)
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"the views are at position 0, their cell is at \d+.*rebuild"):
        pipeline.process()


def test_a_log_shorter_than_the_store_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    for records in pipeline.container.memory_log().records:
        del records[3:]
    new_worker(pipeline)
    with pytest.raises(
        UnrecoverableState,
        match=r"is at positions \d+ to \d+, but the log holds positions 0 to 3.*log or build another",
    ):
        pipeline.process()


def test_nothing_is_emitted_into_another_log(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    log_records = pipeline.container.memory_log().records
    for records in log_records:
        del records[3:]
    outputs = MemoryOutputs(pipeline.container.publisher())  # those of a log that was restored from a backup
    pipeline.container.outputs.override(providers.Object(outputs))
    pipeline.container.relay.reset()
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"the log holds positions 0 to 3.*rebuild the store or build another"):
        pipeline.process()
    lengths = [len(records) for records in log_records]
    assert (lengths, outputs.dead_letters(9), outputs.positions([0])) == ([3, 3], [], {0: 0})


def test_a_missing_cell_with_positions_in_views_or_outputs_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    pipeline.container.cells.reset()
    pipeline.container.relay.reset()
    new_worker(pipeline)
    for _ in range(3):  # the failed claim must not create the cell
        with pytest.raises(
            UnrecoverableState, match=r"partition 0: its cell is missing, while its views or outputs have .*build"
        ):
            pipeline.process()
        new_worker(pipeline)


def test_workers_that_run_now_and_then_trim_expired_entries(pipeline: Pipeline) -> None:
    cells = pipeline.container.cells()
    for begin in range(0, 50, 10):
        append(pipeline, HISTORY[begin : begin + 10])
        new_worker(pipeline)
        pipeline.process()
        let_time_pass(pipeline, SMALL.worker.outbox_retention_ms // 2)
    outbox = [entry for partition in (0, 1) for entry in cells.outbox(partition, 0)]
    now_ms = pipeline.container.clock().now_ms()
    assert outbox
    assert {entry.at_ms for entry in outbox} == {
        now_ms - SMALL.worker.outbox_retention_ms,
        now_ms - SMALL.worker.outbox_retention_ms // 2,
    }
    assert differences(pipeline) == []


def test_entries_that_another_owner_has_trimmed_are_no_gap(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is suspended while it catches up; another worker claims the cell, catches up and trims; then the first
    worker continues, is fenced, and claims again."""
    append(pipeline, HISTORY)
    pipeline.process()
    replace_views(pipeline, view_cells=2)
    container, cells = pipeline.container, pipeline.container.cells()
    read_outbox, taken_over = cells.outbox, list[int]()

    def suspended_after_the_first(partition: int, after: int) -> Iterator[OutboxEntry]:
        while entries := list(read_outbox(partition, after)):
            yield entries[0]
            after = entries[0].to_position
            if not taken_over:
                taken_over.append(partition)
                other = ClaimCells(container.log(), container.relay(), NoSnapshots(), container.clock(), 10**9)
                owned = other([partition])
                other.catch_up(owned)
                container.relay().verify_and_trim(list(owned.values()), container.clock().now_ms(), 0)

    monkeypatch.setattr(cells, "outbox", suspended_after_the_first)
    new_worker(pipeline)
    container.process_events()(0)  # refused; the next round claims again
    assert taken_over
    pipeline.process()
    assert differences(pipeline) == []

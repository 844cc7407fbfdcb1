"""The worker where stores do not answer, are full, or cannot be gone on with: it waits, or stops and says why."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Fenced, Unavailable, Unreachable, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.processing import backoff
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog, MemoryLog
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import SMALL, SetClock, append, differences
from tests.support.workers import HISTORY, let_time_pass, new_worker


def test_a_store_without_an_answer_is_waited_for(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()
    commit, asked = cells.commit, 0

    def silent(commits: Sequence[Commit]) -> Sequence[int]:
        """Silent the first times: once before it has written anything, once after."""
        nonlocal asked
        asked += 1
        written = commit(commits) if asked != 1 else []
        if asked <= 2:
            raise Unreachable("no answer")
        return written

    monkeypatch.setattr(cells, "commit", silent)
    pipeline.process()
    assert asked > 2
    assert differences(pipeline) == []


def test_a_store_that_never_answers_is_given_up_on(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY)

    def silent(_: object) -> None:
        let_time_pass(pipeline, SMALL.worker.give_up_after_ms // 2)
        raise Unreachable("no answer from the store")

    monkeypatch.setattr(pipeline.container.cells(), "commit", silent)
    with pytest.raises(Unavailable, match="no answer from the store: no answer for 600 s"):
        pipeline.process()


def test_a_worker_waits_when_too_much_is_kept(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pipeline.container.cells()
    commit = cells.commit
    monkeypatch.setattr(cells, "commit", lambda commits: [len(commit([one])) << 30 for one in commits])
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    assert worker(0).records > 0
    assert worker(0).records == 0
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    assert worker(0).records == 0  # trimmed now, and reading again
    assert worker(0).records > 0


def test_a_clock_that_goes_back_does_not_hold_the_worker_up(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = pipeline.container.cells()
    commit = cells.commit
    monkeypatch.setattr(cells, "commit", lambda commits: [len(commit([one])) << 30 for one in commits])
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    assert [worker(0).records > 0 for _ in range(2)] == [True, False]
    let_time_pass(pipeline, -86_400_000)
    assert [worker(0).records > 0 for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("port", "name"), [("cells", "commit"), ("views", "merge")])
def test_a_store_that_is_full_is_made_room_in(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, port: str, name: str
) -> None:
    """It takes no commit, or no merge, until entries that everybody has are let go of."""
    monkeypatch.setattr(backoff, "RETRY_WAIT_S", 0.0)
    cells, store = pipeline.container.cells(), getattr(pipeline.container, port)()
    writing = getattr(store, name)

    def full(what: Any, *more: Any) -> Any:
        merged_to = pipeline.container.views().positions([0, 1])
        kept = [entry for partition in (0, 1) for entry in cells.outbox(partition, 0)]
        if sum(entry.to_position <= min(merged_to[entry.partition]) for entry in kept) > 1:
            let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
            raise Unreachable("used memory > 'maxmemory'")
        return writing(what, *more)

    monkeypatch.setattr(store, name, full)
    append(pipeline, HISTORY)
    pipeline.process()
    assert differences(pipeline) == []


class ShortenedLog(MemoryEventLog):
    """A log whose retention has taken the first records."""

    begins = 0

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        return {number: (min(self.begins, end), end) for number, (_, end) in super().bounds(partitions).items()}


def test_a_new_store_begins_where_the_log_does(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    memory_log = pipeline.container.memory_log()
    log = ShortenedLog(memory_log)
    log.begins = 5
    pipeline.container.log.override(providers.Object(log))
    pipeline.container.process_events()(0)  # claims and reads
    for _ in range(2):
        pipeline.container.process_events.reset()
        pipeline.process()
    assert sum(pipeline.container.customer_queries().counts().values()) == len(HISTORY) - 2 * 5
    stands = {number: len(records) for number, records in enumerate(memory_log.records)}
    assert pipeline.container.cells().positions([0, 1]) == stands
    assert pipeline.container.outputs().positions([0, 1]) == stands


def test_views_behind_what_is_kept_stop_the_worker_with_the_range(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    pipeline.process()
    pipeline.container.views.override(
        providers.Object(MemoryViews(1, listed_sessions_max=3, activity_retention_hours=100))
    )
    pipeline.container.relay.reset()
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"partition 0: the views stand at 0, their cell at \d+.*rebuild"):
        pipeline.process()


def test_a_log_shorter_than_the_store_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    for kept in pipeline.container.memory_log().records:
        del kept[3:]
    new_worker(pipeline)
    with pytest.raises(
        UnrecoverableState, match=r"the store stands at \d+ to \d+, the log holds 0 to 3.*log or build another"
    ):
        pipeline.process()


def test_nothing_is_put_into_a_log_that_is_not_the_stores(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    records = pipeline.container.memory_log().records
    for kept in records:
        del kept[3:]
    outputs = MemoryOutputs(pipeline.container.publisher())  # as they lie beside a log that was brought back
    pipeline.container.outputs.override(providers.Object(outputs))
    pipeline.container.relay.reset()
    new_worker(pipeline)
    with pytest.raises(UnrecoverableState, match=r"the log holds 0 to 3.*rebuild the store or build another"):
        pipeline.process()
    assert ([len(kept) for kept in records], outputs.dead_letters(9), outputs.positions([0])) == ([3, 3], [], {0: 0})


def test_another_log_is_refused(pipeline: Pipeline) -> None:
    pipeline.process()
    pipeline.container.log.override(providers.Object(MemoryEventLog(MemoryLog(2, SetClock()))))
    pipeline.container.process_events.reset()
    with pytest.raises(WrongLog, match="use another store"):
        pipeline.process()


def test_refusals_without_end_stop_the_worker(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "CONFLICT_WAIT_S", 0)
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()

    def refuse(_commit: object) -> None:
        raise Fenced("always")

    cells.commit = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(UnrecoverableState, match="refused 11 rounds in a row"):
        pipeline.process()

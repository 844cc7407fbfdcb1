"""Backoff: how long a worker waits after conflicts and silence, and when it gives up."""

from collections.abc import Sequence

import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Fenced, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.processing import backoff
from realtime_pipeline.application.processing.backoff import CONFLICT_WAIT_S, CONFLICTS_MAX, RETRY_WAIT_S, Backoff
from tests.support.histories import NOW_MS, SMALL, append, differences
from tests.support.workers import HISTORY, let_time_pass

CONFLICT = Fenced("another owner has claimed the cell")
SILENCE = Unreachable("no answer from the store")


def test_the_first_conflict_is_retried_at_once_and_later_conflicts_after_growing_waits() -> None:
    failures = Backoff(give_up_after_ms=0)
    waits_s = [failures.after_conflict(CONFLICT) for _ in range(CONFLICTS_MAX)]
    assert waits_s == [0, *(CONFLICT_WAIT_S * number for number in range(2, CONFLICTS_MAX + 1))]


def test_too_many_conflicts_in_a_row_are_unrecoverable() -> None:
    failures = Backoff(give_up_after_ms=0)
    for _ in range(CONFLICTS_MAX):
        failures.after_conflict(CONFLICT)
    with pytest.raises(UnrecoverableState, match=r"refused 11 rounds in a row \(another owner .*one worker has the"):
        failures.after_conflict(CONFLICT)


def test_silence_is_retried_until_it_has_lasted_longer_than_the_limit() -> None:
    failures = Backoff(give_up_after_ms=5_000)
    waits_s = [failures.after_silence(SILENCE, NOW_MS + after_ms) for after_ms in (0, 200, 5_000)]
    assert waits_s == [RETRY_WAIT_S] * 3
    with pytest.raises(Unavailable, match="no answer from the store: no answer for 5 s; see to it, then start the"):
        failures.after_silence(SILENCE, NOW_MS + 5_001)


def test_a_clock_that_is_set_back_ends_no_wait_early() -> None:
    failures = Backoff(give_up_after_ms=5_000)
    waits_s = [failures.after_silence(SILENCE, NOW_MS + after_ms) for after_ms in (0, -86_400_000, 5_000)]
    assert waits_s == [RETRY_WAIT_S] * 3


def test_a_successful_round_resets_conflicts_and_silence() -> None:
    failures = Backoff(give_up_after_ms=5_000)
    for round_number in range(3):
        for _ in range(CONFLICTS_MAX):
            failures.after_conflict(CONFLICT)
        failures.after_silence(SILENCE, NOW_MS + round_number * 60_000)
        failures.reset()
    assert failures.after_conflict(CONFLICT) == 0


def test_silence_between_conflicts_resets_neither() -> None:
    failures = Backoff(give_up_after_ms=5_000)
    failures.after_silence(SILENCE, NOW_MS)
    for _ in range(CONFLICTS_MAX):
        failures.after_conflict(CONFLICT)
        failures.after_silence(SILENCE, NOW_MS + 1_000)
    with pytest.raises(UnrecoverableState):
        failures.after_conflict(CONFLICT)
    with pytest.raises(Unavailable):
        failures.after_silence(SILENCE, NOW_MS + 5_001)


def test_an_unreachable_store_is_retried(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()
    commit, calls = cells.commit, 0

    def unreachable_twice(commits: Sequence[Commit]) -> Sequence[int]:
        """Give no reply to the first call, which writes nothing, nor to the second, which writes everything."""
        nonlocal calls
        calls += 1
        sizes = commit(commits) if calls != 1 else []
        if calls <= 2:
            raise Unreachable("no answer")
        return sizes

    monkeypatch.setattr(cells, "commit", unreachable_twice)
    pipeline.process()
    assert calls > 2
    assert differences(pipeline) == []


def test_a_worker_gives_up_on_a_store_that_stays_unreachable(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(pipeline, HISTORY)

    def unreachable(_: object) -> None:
        let_time_pass(pipeline, SMALL.worker.give_up_after_ms // 2)
        raise SILENCE

    monkeypatch.setattr(pipeline.container.cells(), "commit", unreachable)
    with pytest.raises(Unavailable, match="no answer from the store: no answer for 600 s"):
        pipeline.process()


def test_endless_conflicts_stop_the_worker(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "CONFLICT_WAIT_S", 0)
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()

    def refuse(_commits: object) -> None:
        raise Fenced("always")

    cells.commit = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(UnrecoverableState, match="refused 11 rounds in a row"):
        pipeline.process()

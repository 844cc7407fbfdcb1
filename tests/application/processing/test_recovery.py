"""Recovery from crashes between the steps of a round, and from failovers that lost commits or merges."""

from copy import deepcopy

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import SMALL, append, differences
from tests.support.workers import HISTORY, Crash, CrashAt, let_time_pass, new_worker


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("stage", [Stage.FETCHED, Stage.FOLDED, Stage.COMMITTED, Stage.MERGED, Stage.EMITTED])
def test_a_crash_between_commit_merge_and_emission_loses_and_doubles_nothing(
    pipeline: Pipeline, stage: Stage, times: int
) -> None:
    append(pipeline, HISTORY)
    new_worker(pipeline, CrashAt(stage, times))
    with pytest.raises(Crash):
        pipeline.process()
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


def test_a_crash_in_every_round_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    crashes = 0
    for _ in range(200):
        new_worker(pipeline, CrashAt(Stage.COMMITTED, 1))
        try:
            pipeline.process()
            break
        except Crash:
            crashes += 1
    assert crashes >= 5
    assert differences(pipeline) == []


@pytest.mark.parametrize("lost_records", [1, 33, 37, 43])
def test_views_ahead_of_cells_that_lost_commits_merge_nothing_twice(pipeline: Pipeline, lost_records: int) -> None:
    """A replica without the newest commits takes over: the positions of views and outputs are ahead of the cells."""
    cells = pipeline.container.cells()
    append(pipeline, HISTORY[:50])
    pipeline.process()
    replica = deepcopy(vars(cells))
    append(pipeline, HISTORY[50 : 50 + lost_records])
    pipeline.process()
    vars(cells).update(replica)
    append(pipeline, HISTORY[50 + lost_records :])
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


def test_views_that_lost_everything_are_merged_again_from_the_outbox(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms - 1)
    pipeline.process()
    pipeline.container.views.override(
        providers.Object(MemoryViews(2, listed_sessions_max=3, activity_retention_hours=100))
    )
    pipeline.container.relay.reset()
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []

"""Workers that crash and are started again, and the history that they process."""

import msgspec
from dependency_injector import providers

from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import NOW_MS, SetClock

HISTORY = [msgspec.json.encode(document) for document in Shop(5, 200, 10, NOW_MS - 10**9, dirt=0.1).events(60)]


ELSEWHERE = {
    Stage.APPENDED,
    Stage.ACKNOWLEDGED,
    Stage.OUTPUTS_SENT,
    Stage.POSITIONS_SENT,
    Stage.TRIMMING,
    Stage.SNAPSHOTTING,
    Stage.LOG_TRIMMING,
    Stage.BACKING_UP,
    Stage.SOURCE_READ,
    Stage.SOURCE_PUBLISHED,
}
"""Stages that no worker with an embedded store reaches: of publishers, sources, backups, retention, network stores."""


class Crash(Exception):
    """The process dies here and loses its memory."""


class CrashAt(StageObserver):
    """Raises when a stage is reached for the n-th time."""

    def __init__(self, stage: Stage, times: int) -> None:
        self._stage, self._left = stage, times

    def reached(self, stage: Stage, records: int) -> None:
        if stage is self._stage and records:
            self._left -= 1
            if self._left == 0:
                raise Crash(stage)


def new_worker(pipeline: Pipeline, observer: StageObserver | None = None) -> None:
    """Make a new worker, as after a restart: only the log and the stores stay."""
    if observer is not None:
        pipeline.container.observer.override(providers.Object(observer))
    else:
        pipeline.container.observer.reset_override()
    pipeline.container.log.reset()
    pipeline.container.upkeep.reset()
    pipeline.container.process_events.reset()


def let_time_pass(pipeline: Pipeline, ms: int) -> None:
    clock = pipeline.container.clock()
    assert isinstance(clock, SetClock)
    clock.at_ms += ms


class LingeringViews(MemoryViews):
    """Views with a linger time: a merge covers several rounds."""

    linger_ms = 10**9
    merge_records_max = 30

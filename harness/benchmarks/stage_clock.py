"""Measures the share of a worker's CPU time in each stage; the end of a round includes freeing its memory."""

import time
from collections.abc import Mapping

from realtime_pipeline.application.ports.observer import Stage, StageObserver

NOT_TIMED = frozenset((Stage.COMMITTING,))


class StageClock(StageObserver):
    """Adds up the CPU time of this thread between one stage and the next."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}
        self.begin()

    def begin(self) -> None:
        """Start the clock: CPU time before this call is in no stage."""
        self._last_s = time.thread_time()

    def reached(self, stage: Stage, records: int) -> None:
        """Add the CPU time since the last stage to this one."""
        now_s = time.thread_time()
        if stage not in NOT_TIMED:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now_s - self._last_s
            self._last_s = now_s

    def shares(self) -> Mapping[str, float]:
        """The share of each stage, from 0 to 1, in the order of a round."""
        total = sum(self._seconds.values()) or 1.0
        return {stage.value: self._seconds[stage] / total for stage in Stage if stage in self._seconds}

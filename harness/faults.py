"""`fault`: a worker or a publisher that kills itself at a named point, so that tests can look at what is left.

`kill -9` at the point: no handler runs, nothing is flushed, exactly as when the machine's out-of-memory killer comes.
"""

import argparse
import os
import signal
from collections.abc import Mapping

from dependency_injector import providers

from harness.errors import HarnessError
from harness.files import opened
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.publish_events import Submission

POINTS = {stage.value: stage for stage in Stage}


class KillAt(Stages):
    """Kills this process when a stage is reached for the n-th time with records to work on."""

    def __init__(self, stage: Stage, times: int) -> None:
        self._stage = stage
        self._left = times

    def reached(self, stage: Stage, records: int) -> None:
        """Die, if this is the time."""
        if stage is self._stage and records:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Work, or publish, until the point is reached; not to reach it is a failure."""
    settings = load_settings(options.settings, database=str(options.database))
    with Pipeline(settings) as pipeline:
        pipeline.container.stages.override(providers.Object(KillAt(POINTS[options.at], options.times)))
        if options.role == "worker":
            pipeline.container.process_events().catch_up()
        elif options.data is None:
            raise HarnessError("a publisher needs --data FILE")
        else:
            with opened(options.data) as stream:
                for count in pipeline.container.publish_events().stream(Submission(line.strip()) for line in stream):
                    print(f"acknowledged {count}", flush=True)
    raise HarnessError(f"{options.at} was not reached {options.times} times")

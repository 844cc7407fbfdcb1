"""`fault`: a worker, publisher, backup or command that kills or stops itself at a named stage, for tests of recovery.

It is killed with SIGKILL: no handler runs and nothing is flushed, as with the out-of-memory killer. Or it is stopped
with SIGSTOP, as a process that gets no CPU, until it receives SIGCONT.
"""

import argparse
import os
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from dependency_injector import providers

from harness.support.errors import HarnessError
from harness.support.files import opened
from realtime_pipeline import Container, Pipeline, load_settings
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.processing.process_events import Round
from realtime_pipeline.interfaces.cli.main import main as run_command

POINTS = {stage.value: stage for stage in Stage}
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class SignalAt(StageObserver):
    """Sends this process a signal when a stage is reached for the n-th time with records to process."""

    def __init__(self, stage: Stage, times: int, number: signal.Signals, mark: Path | None) -> None:
        self._stage = stage
        self._left = times
        self._signal = number
        self._mark = mark

    def reached(self, stage: Stage, records: int) -> None:
        """Count the stage; the n-th time, create the mark file and send the signal."""
        if stage is self._stage and records:
            self._left -= 1
            if self._left == 0:
                if self._mark is not None:
                    self._mark.touch()
                os.kill(os.getpid(), self._signal)


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Run the role until its stage is reached. Not to reach it is an error, except with --on."""
    fault = None
    if options.at is not None:
        fault = SignalAt(POINTS[options.at], options.times, SIGNALS[options.how], options.mark)
    if options.role == "command":
        return _run_command(options, fault)
    database = None if options.database is None else str(options.database)
    settings = load_settings(options.settings, database=database)
    with Pipeline(settings) as pipeline:
        if fault is not None:
            pipeline.container.observer.override(providers.Object(fault))
        if options.role == "worker":
            if options.on:
                _run_until_stopped(pipeline)
                return {}
            pipeline.container.worker().catch_up()
        elif options.data is None:
            raise HarnessError("a publisher and a backup need --data FILE")
        elif options.role == "backup":
            pipeline.backup(options.data)
        else:
            with opened(options.data) as stream:
                for count in pipeline.container.publish_events().stream(Submission(line.strip()) for line in stream):
                    print(f"acknowledged {count}", flush=True)
    raise _not_reached(options)


def _run_command(options: argparse.Namespace, fault: SignalAt | None) -> Mapping[str, object]:
    """Run a command of `realtime-pipeline`, which makes a container of its own."""
    with nullcontext() if fault is None else Container.observer.override(providers.Object(fault)):
        code = run_command(options.run)
    if not options.on:
        raise _not_reached(options)
    return {"ok": code == 0}


def _not_reached(options: argparse.Namespace) -> HarnessError:
    return HarnessError(f"stage {options.at} was not reached {options.times} times")


def _run_until_stopped(pipeline: Pipeline) -> None:
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)

    def print_problem(done: Round) -> None:
        if done.problem:
            print(done.problem, flush=True)

    pipeline.container.worker().run(lambda: stopping, print_problem)

"""The command that publishes what databases and queues have, each record once."""

import argparse
import signal
import sys
from types import FrameType
from typing import TypeAlias

from realtime_pipeline.application.ingestion.run_source import SourceProgress
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.interfaces.cli.progress import ProgressLine
from realtime_pipeline.interfaces.cli.publish import rate_of
from realtime_pipeline.interfaces.text import left_out_in_words
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_capture(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    capture = commands.add_parser(
        "capture", parents=[common], help="publish the changes of a database, or the records of a queue, until stopped"
    )
    capture.add_argument("source", metavar="SOURCE", help="a name of [sources.NAME] in the settings")
    capture.add_argument("--until-caught-up", action="store_true", help="end when there is nothing more to read")
    capture.add_argument("--rate", type=rate_of, metavar="N", help="publish at most so many events a second")
    capture.set_defaults(command=_capture, reads=False)


def _capture(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    stopping, done = False, SourceProgress()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    def on_progress(now: SourceProgress) -> None:
        nonlocal done
        done = now
        shows.update(now.published, now.lag)
        shows.report_problem(now.problem or now.warning)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    source, prepare = pipeline.container.source(options.source), pipeline.container.prepare_source(options.source)
    run_source, shows = pipeline.container.run_source(), ProgressLine("event", "published")
    print(f"capturing {options.source}; stop with Ctrl-C", file=sys.stderr)
    try:
        if options.until_caught_up:
            run_source.catch_up(source, prepare, on_progress, lambda: stopping, options.rate)
        else:
            run_source.run(source, prepare, lambda: stopping, on_progress, options.rate)
    finally:
        shows.end()
        print(f"{counted(done.records, 'record')} read, {counted(done.published, 'event')} published")
        for line in left_out_in_words(prepare.copies, prepare.ignored_types):
            print(line)

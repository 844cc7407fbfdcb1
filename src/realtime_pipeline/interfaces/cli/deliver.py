"""The command that delivers the log's events to a sink."""

import argparse
import math
import signal
import sys
import time
from types import FrameType
from typing import TypeAlias

from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.sinks import SINKS
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.interfaces.cli.dead_letters import Progress
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

EVERY_S = 10.0
EVERY_S_MAX = 86_400
STOP_CHECK_S = 0.1


def add_deliver(commands: Commands, common: argparse.ArgumentParser, progress: Progress) -> None:
    """Add the command; `progress` makes what shows how many events have been delivered."""
    deliver = commands.add_parser(
        "deliver", parents=[common], help="deliver the log's events to a sink, as a folder of files, each once"
    )
    deliver.add_argument("sink", metavar="SINK", choices=sorted(SINKS), help=f"one of: {', '.join(sorted(SINKS))}")
    deliver.add_argument("place", metavar="PLACE", help="where it is; of files: a folder, which is made where needed")
    deliver.add_argument("--follow", action="store_true", help="go on with what is published later, until stopped")
    deliver.add_argument(
        "--every", type=_seconds, default=EVERY_S, metavar="SECONDS", help="how often, with --follow (default: 10)"
    )
    deliver.add_argument(
        "--skip-lost", action="store_true", help="pass over what the log has deleted before it was delivered"
    )

    def run(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
        _deliver(pipeline, options, progress)

    deliver.set_defaults(command=run, reads=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= EVERY_S_MAX:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, more than 0, at most {EVERY_S_MAX}")
    return seconds


def _deliver(pipeline: Pipeline, options: argparse.Namespace, progress: Progress) -> None:
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    def wait() -> None:
        until_s = time.monotonic() + options.every
        while not stopping and time.monotonic() < until_s:
            time.sleep(STOP_CHECK_S)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    sink, run_sink, shows = (
        SINKS[options.sink](options.place),
        pipeline.container.run_sink(),
        progress("event", "delivered"),
    )
    try:
        if options.follow:
            print(f"delivering to {options.place}; stop with Ctrl-C", file=sys.stderr)
            delivered = run_sink.run(sink, lambda: stopping, wait, shows.update, options.skip_lost)
        else:
            delivered = run_sink.catch_up(sink, shows.update, lambda: stopping, options.skip_lost)
    finally:
        shows.end()
    print(f"{counted(delivered, 'event')} delivered to {options.place}")

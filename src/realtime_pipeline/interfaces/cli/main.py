"""The `realtime-pipeline` command."""

import argparse
import io
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from realtime_pipeline import __version__
from realtime_pipeline.application.errors import InvalidSettings, PipelineError, Unavailable
from realtime_pipeline.application.processing.ignored_types import add_types
from realtime_pipeline.application.processing.process_events import Round
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.infrastructure.sqlite.database import expand_user
from realtime_pipeline.infrastructure.system.garbage_collector import tune_gc
from realtime_pipeline.interfaces.cli import backup as backup_cli
from realtime_pipeline.interfaces.cli import capture as capture_cli
from realtime_pipeline.interfaces.cli import catalogue as catalogue_cli
from realtime_pipeline.interfaces.cli import check as check_cli
from realtime_pipeline.interfaces.cli import dead_letters as dead_letters_cli
from realtime_pipeline.interfaces.cli import deliver as deliver_cli
from realtime_pipeline.interfaces.cli import late_events as late_events_cli
from realtime_pipeline.interfaces.cli import mapping as mapping_cli
from realtime_pipeline.interfaces.cli import publish as publish_cli
from realtime_pipeline.interfaces.cli import queries as queries_cli
from realtime_pipeline.interfaces.cli import topics as topics_cli
from realtime_pipeline.interfaces.cli import trace as trace_cli
from realtime_pipeline.interfaces.cli import windows as windows_cli
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.cli.progress import ProgressLine
from realtime_pipeline.interfaces.text import counts_in_words, ignored_in_words, receipt_in_words
from realtime_pipeline.pipeline import Pipeline

POLL_S = 0.2

EPILOG = """\
Settings come from a TOML file (--settings, or REALTIME_PIPELINE_SETTINGS), then from the environment
(REALTIME_PIPELINE_DATABASE, REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS, ...), then from options.

  realtime-pipeline publish events.jsonl       append a file's events to the log (- reads standard input)
  realtime-pipeline worker --until-caught-up   process what has been published, then end
  realtime-pipeline recommend ada              what ada may like next, each with its reason

With log = "kafka" and store = "redis" (REALTIME_PIPELINE_LOG=kafka, REALTIME_PIPELINE_STORE=redis), begin with
realtime-pipeline topics create.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 failed (a line says why), 2 invalid arguments, 130
    interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack characters of product names
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.settings, database=options.database)
        _check_environment(settings, reads=options.reads)
        with Pipeline(settings) as pipeline:
            command: Callable[[Pipeline, Settings, argparse.Namespace], None] = options.command
            command(pipeline, settings, options)
    except PipelineError as error:
        print(f"realtime-pipeline: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has gone; else Python reports that at exit
        return 1
    except OSError as error:
        print(f"realtime-pipeline: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="realtime-pipeline",
        description="Turns a shop's events into live profiles and recommendations, and counts each event exactly once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--database", metavar="FILE", help="the SQLite file (default: shop.db)")
    common.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    publish_cli.add_publish(commands, common)
    capture_cli.add_capture(commands, common)
    check_cli.add_check(commands, common)
    catalogue_cli.add_catalogue(commands, common)
    mapping_cli.add_mapping(commands, common)
    worker = commands.add_parser("worker", parents=[common], help="process published events until stopped")
    worker.add_argument(
        "--until-caught-up", action="store_true", help="end when all records published so far are processed"
    )
    worker.add_argument(
        "--close-windows",
        action="store_true",
        help="with --until-caught-up: make every window final, since no more events are to come for them",
    )
    worker.set_defaults(command=_worker, reads=False)

    queries_cli.add_queries(commands, common)
    windows_cli.add_windows(commands, common)
    dead_letters_cli.add_dead_letters(commands, common, ProgressLine)
    late_events_cli.add_late_events(commands, common)
    trace_cli.add_trace(commands, common, ProgressLine)
    deliver_cli.add_deliver(commands, common, ProgressLine)
    forget = commands.add_parser("forget", parents=[common], help="erase a customer")
    forget.add_argument("customer", metavar="CUSTOMER", help="a user id, or anonymous:SESSION for a visitor")
    forget.add_argument(
        "--wait",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="wait at most so long for the erasure, and show the receipt",
    )
    add_json(forget)
    forget.set_defaults(command=_forget, reads=True)

    rebuild = commands.add_parser(
        "rebuild", parents=[common], help="reset the store; a worker builds it again from the log"
    )
    rebuild.add_argument(
        "--yes", action="store_true", required=True, help="confirm: recommendations are incomplete until then"
    )
    rebuild.set_defaults(command=_rebuild, reads=True)
    backup_cli.add_backup(commands, common)
    topics_cli.add_topics(commands, common)
    topics_cli.add_outputs(commands, common)
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError("must be a number of seconds, 0 or more")
    return seconds


def _check_environment(settings: Settings, reads: bool) -> None:
    if "memory" in {settings.log, settings.store}:
        raise InvalidSettings("memory ends with the command: set log to sqlite or kafka, and store to sqlite or redis")
    exists = expand_user(Path(settings.database)).exists()
    if reads and "sqlite" in {settings.log, settings.store} and not exists:
        raise Unavailable(
            f"there is no database {settings.database} yet: publish events first, or name another with --database"
        )


def _worker(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    if options.close_windows and not options.until_caught_up:
        raise InvalidSettings("--close-windows is for --until-caught-up: add that")
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    worker = pipeline.container.worker()
    tune_gc()
    print(f"processing {_environment(settings)}; stop with Ctrl-C", file=sys.stderr)
    progress, processed, types = ProgressLine("record", "processed"), 0, dict[str, int]()

    def on_round(done: Round) -> None:
        nonlocal processed
        processed += done.records
        add_types(types, done.ignored_types)
        progress.update(processed)
        progress.report_problem(done.problem)

    try:
        if options.until_caught_up:
            worker.catch_up(on_round, lambda: stopping)
            if options.close_windows and not stopping:
                pipeline.close_windows()
        else:
            worker.run(lambda: stopping, on_round)
    finally:
        progress.end()
    print(f"{counted(processed, 'record')} processed; {_store_name(settings)} has now")
    print("\n".join((counts_in_words(pipeline.container.customer_queries().counts()), *ignored_in_words(types))))


def _environment(settings: Settings) -> str:
    log, store = settings.kafka.topic if settings.log == "kafka" else settings.database, _store_name(settings)
    return store if log == store else f"{log}, into {store}"


def _store_name(settings: Settings) -> str:
    return f"Redis at {settings.redis.nodes}" if settings.store == "redis" else settings.database


def _forget(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    deadline_s = time.monotonic() + options.wait
    forgetting = pipeline.forget(options.customer)
    if not options.json:
        print(
            f"{options.customer} is to be forgotten as of {utc_text(forgetting.as_of_ms)}, "
            "as soon as a worker processes that record"
        )
    if options.wait <= 0:
        if options.json:
            print_json({"forgetting": forgetting.as_dict()})
        return
    receipt = pipeline.receipt(forgetting)
    while not receipt.is_done and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
        receipt = pipeline.receipt(forgetting)
    if options.json:
        print_json(receipt.as_dict())
    else:
        print("\n".join(receipt_in_words(receipt)))
    if not receipt.is_done:
        raise Unavailable(f"{options.customer} is not forgotten after {options.wait:g} s: is a worker running?")


def _rebuild(pipeline: Pipeline, settings: Settings, _options: argparse.Namespace) -> None:
    records = pipeline.rebuild()
    print(f"the store is reset: {_environment(settings)}; a worker has {counted(records, 'record')} to process again")


if __name__ == "__main__":
    sys.exit(main())

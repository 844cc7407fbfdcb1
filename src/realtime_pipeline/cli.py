"""The `realtime-pipeline` command."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from realtime_pipeline.application.errors import InvalidSettings, PipelineError, Unavailable
from realtime_pipeline.application.process_events import Round
from realtime_pipeline.application.publish_events import Submission
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.infrastructure.system.collector import settle_collector
from realtime_pipeline.pipeline import Pipeline
from realtime_pipeline.report import counts_in_words, profile_in_words, recommendations_in_words
from realtime_pipeline.settings import Settings, load_settings

LINE_BYTES_MAX = 1 << 20
"""A longer line comes in pieces, which end up as dead letters: no file may fill the memory."""

EPILOG = """\
Settings come from a TOML file (--settings, or REALTIME_PIPELINE_SETTINGS), then from the environment
(REALTIME_PIPELINE_DATABASE, REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS, ...), then from options.

  realtime-pipeline publish events.jsonl       append a file's events to the log (- reads standard input)
  realtime-pipeline worker --until-caught-up   process what has been published, then end
  realtime-pipeline recommend ada              what ada may like next, each with its reason
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 failed with a line that says why, 2 not understood."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.settings, database=options.database)
        _check_database(settings, must_exist=options.reads)
        with Pipeline(settings) as pipeline:
            command: Callable[[Pipeline, Settings, argparse.Namespace], None] = options.command
            command(pipeline, settings, options)
    except PipelineError as error:
        print(f"realtime-pipeline: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; Python would complain once more at exit
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="realtime-pipeline",
        description="A shop's events turned into live profiles and recommendations, each event counted exactly once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--database", metavar="FILE", help="the SQLite file (default: shop.db)")
    common.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    publish = commands.add_parser("publish", parents=[common], help="append the events of a file, one JSON a line")
    publish.add_argument("file", metavar="FILE", help="JSON lines in any accepted schema; - for standard input")
    publish.set_defaults(command=_publish, reads=False)

    worker = commands.add_parser("worker", parents=[common], help="process published events until stopped")
    worker.add_argument("--until-caught-up", action="store_true", help="end when all published so far is processed")
    worker.set_defaults(command=_worker, reads=False)

    recommend = commands.add_parser("recommend", parents=[common], help="recommend products to a customer")
    recommend.add_argument("customer", metavar="CUSTOMER", help="a user id, known or new")
    recommend.add_argument("--limit", type=_limit, default=10, help="how many (default: 10)")
    recommend.set_defaults(command=_recommend, reads=True)

    profile = commands.add_parser("profile", parents=[common], help="show what is known of a customer")
    profile.add_argument("customer", metavar="CUSTOMER", help="a user id, or anonymous:SESSION for a visitor")
    profile.set_defaults(command=_profile, reads=True)

    forget = commands.add_parser("forget", parents=[common], help="have everything about a customer erased")
    forget.add_argument("customer", metavar="CUSTOMER", help="a user id, or anonymous:SESSION for a visitor")
    forget.set_defaults(command=_forget, reads=True)
    return parser


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000")
    return int(text)


def _check_database(settings: Settings, must_exist: bool) -> None:
    if "memory" in {settings.log, settings.store}:
        raise InvalidSettings("a command's memory ends with it: log and store must be sqlite here")
    if must_exist and not Path(settings.database).exists():
        raise Unavailable(f"there is no database {settings.database} yet: publish events first, or name another")


def _publish(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    published = 0
    for count in pipeline.container.publish_events().stream(_lines(options.file)):
        published += count
        print(f"\r{published:,} events published", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{published} events are in the log; the worker counts any it cannot read as dead letters")


def _lines(name: str) -> Iterator[Submission]:
    try:
        stream = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - closed below
        with stream:
            lines = iter(lambda: stream.readline(LINE_BYTES_MAX), b"")
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield Submission(line.rstrip(b"\r\n"), f"{Path(name).name}:{number}")
    except OSError as error:
        raise Unavailable(f"{name} cannot be read: {error.strerror or error}") from error


def _worker(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    worker = pipeline.container.process_events()
    settle_collector()
    print(f"working on {settings.database}; stop with Ctrl-C", file=sys.stderr)
    processed = 0

    def tell(done: Round) -> None:
        nonlocal processed
        processed += done.records
        if done.records:
            print(f"\r{processed:,} records processed", end="", file=sys.stderr, flush=True)

    if options.until_caught_up:
        worker.catch_up(tell, lambda: stopping)
    else:
        worker.run(lambda: stopping, tell)
    print(file=sys.stderr)
    print(counts_in_words(pipeline.container.cells().counts()))


def _recommend(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    recommendations = pipeline.recommend(options.customer, options.limit)
    print("\n".join(recommendations_in_words(recommendations)) or "nothing to recommend yet: publish events first")


def _profile(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    print("\n".join(profile_in_words(pipeline.profile(options.customer))))


def _forget(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    at_ms = pipeline.forget(options.customer)
    name = CustomerId(options.customer)
    print(f"{name} is to be forgotten as of {at_ms} ms; it is done when the worker has come to that record")


if __name__ == "__main__":
    sys.exit(main())

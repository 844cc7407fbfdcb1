"""The command that publishes files of events: JSON lines, CSV, Parquet, lines of text."""

import argparse
import math
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

import attrs

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.ingestion.pace import Pace
from realtime_pipeline.application.ingestion.prepare_records import PrepareRecords
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX, SourceProgress
from realtime_pipeline.composition.mappings import find_mapping
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.mapping.columns import LOG_LINE
from realtime_pipeline.domain.mapping.definitions import FORMATS
from realtime_pipeline.domain.plurals import numbered
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.source import FileSource
from realtime_pipeline.infrastructure.files.streams import STANDARD_INPUT, check_readable
from realtime_pipeline.interfaces.cli.progress import ProgressLine
from realtime_pipeline.interfaces.text import left_out_in_words
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

TERMINATED: Final = 128 + signal.SIGTERM
RATE_MAX: Final = 1e9
PATH_LENGTH_MAX: Final = 190


class Termination:
    """Ends a command at SIGTERM: at once, or at the end of a `held_off` block."""

    def __init__(self) -> None:
        self._is_held_off = self.is_due = False
        signal.signal(signal.SIGTERM, self._end)

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Finish the block before the command ends."""
        self._is_held_off = True
        try:
            yield
        finally:
            self._is_held_off = False
        if self.is_due:
            sys.exit(TERMINATED)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_due = True
        if not self._is_held_off:
            sys.exit(TERMINATED)


def add_publish(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    publish = commands.add_parser("publish", parents=[common], help="append the events of files to the log")
    publish.add_argument(
        "files", metavar="FILE", nargs="*", help="files, plain or compressed (gzip, zstd); - for standard input"
    )
    add_format(publish)
    publish.add_argument(
        "--once", action="store_true", help="remember how far each file was published, and go on there another time"
    )
    publish.add_argument(
        "--follow", action="store_true", help="go on with what is appended to the files, until stopped; as --once"
    )
    publish.add_argument(
        "--watch", metavar="DIR", type=Path, help="publish the files of a folder, and those that come, each once"
    )
    publish.add_argument("--rate", type=rate_of, metavar="N", help="publish at most so many events a second")

    def run(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
        if (options.watch is None) == (not options.files):
            publish.error("name files, or a folder with --watch")
        _publish(pipeline, settings, options)

    publish.set_defaults(command=run, reads=False)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how files are read."""
    parser.add_argument("--format", choices=FORMATS, help="how the files are written (default: jsonl)")
    parser.add_argument("--mapping", metavar="NAME", default="", help="how records become events: see mapping list")
    parser.add_argument("--delimiter", metavar="C", help="what is between the columns of CSV (default: a comma)")
    parser.add_argument("--header", metavar="NAMES", help="the columns of CSV without a header, with commas between")
    parser.add_argument("--encoding", metavar="NAME", help="of CSV and text (default: utf-8)")
    parser.add_argument("--pattern", metavar="REGEX", help="of text: named groups become the fields of an event")


def format_of(settings: Settings, options: argparse.Namespace) -> FileFormat:
    """How files are read, by the options, else by the mapping.

    Raises:
        InvalidSettings: the options cannot be, or there is no such mapping.
    """
    chosen: dict[str, object] = {}
    if options.mapping:
        mapping = find_mapping(settings, options.mapping)
        chosen = {"name": mapping.format or "jsonl", "delimiter": mapping.delimiter, "header": mapping.header}
        chosen["pattern"] = mapping.pattern
    given = {"name": options.format, "delimiter": options.delimiter, "encoding": options.encoding}
    given |= {"pattern": options.pattern, "header": tuple(options.header.split(",")) if options.header else None}
    if options.pattern and not options.format:
        given["name"] = "text"
    chosen |= {name: value for name, value in given.items() if value is not None}
    if chosen.get("delimiter") == "\\t":
        chosen["delimiter"] = "\t"
    try:
        return FileFormat(**chosen)  # type: ignore[arg-type]  # argparse has checked the types
    except (ValueError, TypeError) as error:
        raise InvalidSettings(f"publish: {error}") from None


def rate_of(text: str) -> float:
    """Read a rate of events a second.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= RATE_MAX:
        raise argparse.ArgumentTypeError("must be a number of events a second, more than 0")
    return rate


def _publish(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    format_ = format_of(settings, options)
    if options.watch is not None or options.once or options.follow:
        _publish_once(pipeline, options, format_)
    else:
        _publish_again(pipeline, options, format_)


def _publish_again(pipeline: Pipeline, options: argparse.Namespace, format_: FileFormat) -> None:
    """Publish files from their beginning; events with ids that are published already are duplicates."""
    check_readable(options.files)
    publish, shows, published, counts = (
        pipeline.container.publish_events(),
        ProgressLine("event", "published"),
        0,
        _Counts(),
    )
    termination, pace = Termination(), Pace(options.rate)
    try:
        for name in options.files:
            prepare = _prepare(pipeline, options, format_)
            lines, source = publish.lines(), FileSource(name, [name], format_, with_digests=bool(options.mapping))
            source.open({})
            while (batch := source.read(pace.batch(BATCH_RECORDS_MAX), 0.0)) is not None:
                with termination.held_off():
                    count = lines.publish([made for record in batch.records for made in prepare(record)])
                    published += count
                    shows.update(published)
                pace.after(count)
            counts.add(prepare)
            lines.end()
    finally:
        shows.end()
        counts.show()
        _show_published(published)


def _publish_once(pipeline: Pipeline, options: argparse.Namespace, format_: FileFormat) -> None:
    """Publish files from where an earlier call ended; the log has the positions."""
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    shows, published, counts = ProgressLine("event", "published"), 0, _Counts()
    run_source = pipeline.container.run_source()
    goes_on = options.follow or options.watch is not None
    try:
        for source in _sources(options, format_):
            prepare, before = _prepare(pipeline, options, format_), published

            def on_progress(now: SourceProgress, before: int = before) -> None:
                nonlocal published
                published = before + now.published
                shows.update(published)
                shows.report_problem(now.problem or now.warning)

            if goes_on:
                print("publishing what comes; stop with Ctrl-C", file=sys.stderr)
                run_source.run(source, prepare, lambda: stopping, on_progress, options.rate)
            else:
                run_source.catch_up(source, prepare, on_progress, lambda: stopping, options.rate)
            counts.add(prepare)
    finally:
        shows.end()
        counts.show()
        _show_published(published)


def _sources(options: argparse.Namespace, format_: FileFormat) -> Iterator[FileSource]:
    """The sources of the call: the folder, or each file by itself, so that its position does not depend on the others.

    Raises:
        InvalidSettings: a file cannot be read again, or there is no such folder.
    """
    if options.watch is not None:
        if not options.watch.is_dir():
            raise InvalidSettings(f"publish: there is no folder {options.watch}")
        yield FileSource(
            _name("folder", options.watch), (), format_, options.watch.absolute(), with_digests=bool(options.mapping)
        )
        return
    if options.follow and len(options.files) > 1:
        raise InvalidSettings("publish: --follow is for one file; put several into a folder, and name it with --watch")
    for name in options.files:
        if name != STANDARD_INPUT and not Path(name).exists():
            raise InvalidSettings(f"publish: there is no file {name}")
        if not Path(name).is_file():
            raise InvalidSettings(f"publish: --once and --follow are for files: {name} cannot be read again")
    for name in options.files:
        yield FileSource(
            _name("file", Path(name)), [Path(name).absolute()], format_, None, options.follow, bool(options.mapping)
        )


def _name(kind: str, path: Path) -> str:
    """The name of a file's source; a digest, where the path cannot be one."""
    text = str(path.absolute())
    if len(text) > PATH_LENGTH_MAX or not text.isprintable():
        text = blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return f"{kind}:{text}"


def _prepare(pipeline: Pipeline, options: argparse.Namespace, format_: FileFormat) -> PrepareRecords:
    default_type = LOG_LINE if format_.name == "text" else ""
    return pipeline.container.prepare_records("file", options.mapping, default_type)


@attrs.define
class _Counts:
    """What was not published, of all files."""

    copies: int = 0
    ignored: Counter[str] = attrs.Factory(Counter)

    def add(self, prepare: PrepareRecords) -> None:
        self.copies += prepare.copies
        self.ignored += prepare.ignored_types

    def show(self) -> None:
        for line in left_out_in_words(self.copies, self.ignored):
            print(line)


def _show_published(published: int) -> None:
    were = numbered(published, "event was", "events were")
    print(f"{published:,} {were} published; the worker counts invalid ones as dead letters")

"""The command that says what files would become, without publishing anything."""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX
from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.mapping.columns import LOG_LINE
from realtime_pipeline.domain.mapping.suggestion import SuggestMapping
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.source import FileSource
from realtime_pipeline.infrastructure.files.streams import check_readable
from realtime_pipeline.infrastructure.mappings.toml_text import mapping_toml
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.cli.progress import ProgressLine
from realtime_pipeline.interfaces.cli.publish import add_format, format_of
from realtime_pipeline.interfaces.cli.times import time_of
from realtime_pipeline.interfaces.text import check_in_words
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

UNUSABLE_MAX: Final = 0.05
SUGGEST_RECORDS: Final = 10_000
"""How many records a draft is made from."""
DRAFT: Final = "draft"


def add_check(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    check = commands.add_parser(
        "check", parents=[common], help="say what the events of files would become; publish nothing"
    )
    check.add_argument("files", metavar="FILE", nargs="+", help="as publish takes them; - for standard input")
    add_format(check)
    check.add_argument(
        "--at", type=time_of, metavar="TIME", help="the time of records without a time, as `catalogue import` has it"
    )
    check.add_argument("--lines", type=_whole, metavar="N", help="read only the first N records")
    check.add_argument(
        "--suggest", action="store_true", help="print a draft of a mapping for the settings, from names and values"
    )
    check.add_argument(
        "--max-unusable",
        type=_share,
        default=UNUSABLE_MAX,
        metavar="SHARE",
        help="end with exit code 1 if a larger share of the events is unusable (default: 0.05)",
    )
    add_json(check)
    check.set_defaults(command=_check, reads=False)


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be a share from 0 to 1")
    return share


def _check(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    check_readable(options.files)
    format_ = format_of(settings, options)
    if options.suggest:
        _suggest(pipeline, options, format_)
        return
    default_type = LOG_LINE if format_.name == "text" else ""
    check = pipeline.container.check_events(options.mapping, default_type, options.at)
    shows = ProgressLine("record", "read")
    read = 0
    try:
        for records in _records(options, format_, options.lines or sys.maxsize):
            check.add(records)
            read += len(records)
            shows.update(read)
    finally:
        shows.end()
    report = check.report()
    if options.json:
        print_json(report.as_dict())
    else:
        print("\n".join(check_in_words(report, decimals_of(settings.currency))))
    if not report.records:
        raise InvalidEvents("there are no records")
    if report.unusable > options.max_unusable:
        raise InvalidEvents(
            f"{report.unusable:.1%} of {counted(report.events, 'event')} cannot be used, more than "
            f"{options.max_unusable:.1%} (--max-unusable): see the reasons above"
        )


def _records(options: argparse.Namespace, format_: FileFormat, left: int) -> Iterator[Sequence[SourceRecord]]:
    """Read the files' records in batches, up to so many."""
    for name in options.files:
        source = FileSource("check", [name], format_)
        try:
            source.open({})
            while left > 0 and (batch := source.read(min(BATCH_RECORDS_MAX, left), 0.0)) is not None:
                left -= len(batch.records)
                yield batch.records
        finally:
            source.close()


def _suggest(pipeline: Pipeline, options: argparse.Namespace, format_: FileFormat) -> None:
    """Print a draft of a mapping.

    Raises:
        InvalidEvents: no record could be read.
    """
    suggest, parse, seen = SuggestMapping(), pipeline.container.decoder().parse, 0
    for records in _records(options, format_, options.lines or SUGGEST_RECORDS):
        for record in records:
            value = record.value
            if isinstance(value, Unreadable):
                continue
            try:
                suggest.add(value if isinstance(value, Mapping) else parse(value))
                seen += 1
            except ValueError:
                continue  # check without --suggest says what is wrong with it
    if not seen:
        raise InvalidEvents("not one record could be read: see what check says without --suggest")
    draft = attrs.evolve(suggest.suggest(), format="" if format_.name == "jsonl" else format_.name)
    draft = attrs.evolve(draft, delimiter=format_.delimiter, header=format_.header, pattern=format_.pattern)
    print(f"# A draft from {counted(seen, 'record')}: put it into the settings, complete it, then")
    print(f"# realtime-pipeline check --mapping {DRAFT} FILE")
    print(mapping_toml(DRAFT, draft), end="")

"""The commands for late events: list, show."""

import argparse
import sys
from typing import Final, TypeAlias

from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.text import plain
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SHOWN_BYTES: Final = 200
LIMIT_MAX: Final = 1_000_000
LISTED: Final = 20


def add_late_events(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("late-events", help="events that came too late for every window of a definition")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", parents=[common], help="list them with the windows that they have missed")
    listed.add_argument("--definition", metavar="NAME", help="only those that are late for this one")
    listed.add_argument("--limit", type=_limit, default=LISTED, metavar="N", help=f"at most N (default: {LISTED})")
    add_json(listed)
    listed.set_defaults(command=_list, reads=True)

    show = actions.add_parser("show", parents=[common], help="show a late event with all its bytes")
    show.add_argument("id", metavar="ID", help="partition and position of its record, as 3-1417")
    add_json(show)
    show.set_defaults(command=_show, reads=True)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)


def _list(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    limit = options.limit
    late_events = pipeline.container.read_late_events()(limit, options.definition)
    note = f"these are the first {limit}; there may be more (--limit)" if len(late_events) == limit else ""
    if options.json:
        print_json({"late_events": [late.as_dict() for late in late_events], "notes": [note] if note else []})
        return
    if not late_events:
        print("there are no late events")
    for late in late_events:
        origin = [] if late.record.origin is None else [late.record.origin]
        print(plain("  ".join((late.id, *origin, f"of {utc_text(late.occurred_at_ms)}", _missed(late)))))
        print(f"    {late.record.value[:SHOWN_BYTES]!r}")
    if note:
        print(note)


def _missed(late: LateEvent) -> str:
    return ", ".join(f"{missed.definition}: {counted(missed.windows, 'window')}" for missed in late.missed)


def _show(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    late = pipeline.late_event(options.id)
    record = late.record
    if options.json:
        print_json({"late_event": late.as_dict()})
        return
    print(plain(f"late event {late.id}"))
    print(plain(f"  missed     {_missed(late)}"))
    print(plain(f"  time       {utc_text(late.occurred_at_ms)}"))
    print(plain(f"  partition  had come to {utc_text(late.time_ms)}"))
    print(plain(f"  where      partition {record.partition}, position {record.position}"))
    if record.origin is not None:
        print(plain(f"  origin     {record.origin}"))
    print(plain(f"  taken in   {utc_text(record.appended_at_ms)}"))
    print(plain(f"  customer   {late.customer_id or 'none'}"))
    print(f"  key        {'none' if record.key is None else repr(record.key)}")
    print(f"  value      {counted(len(record.value), 'byte')}", flush=True)
    sys.stdout.buffer.write(record.value + b"\n")
    sys.stdout.buffer.flush()

"""The commands for dead letters: list, show, export, replay, resolve."""

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.maintenance.handle_dead_letters import HandleDeadLetters, Replay, check_note
from realtime_pipeline.application.maintenance.selection import Selection
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterState, Repair
from realtime_pipeline.infrastructure.atomic_file import write_atomically
from realtime_pipeline.infrastructure.codecs.dead_letters import decode_repair, encode_letter
from realtime_pipeline.infrastructure.files.event_lines import batches
from realtime_pipeline.infrastructure.files.streams import check_readable
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.text import plain
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SHOWN_BYTES = 200
LIMIT_MAX = 1_000_000
LISTED = 20
REFUSALS_SHOWN = 20
STANDARD_OUTPUT = "-"
REPAIR_BYTES_MAX = 64 << 20
"""The longest line of a file of repairs, in bytes: JSON may write a byte as six, and a line has them twice."""


class ShowsNumber(Protocol):
    """Shows a growing number while a command works."""

    def update(self, number: int) -> None:
        """Show the number if it is time."""

    def end(self) -> None:
        """Show the last number, and end the line."""


Progress = Callable[[str, str], ShowsNumber]
"""Makes a progress line of a noun in the singular and a participle: ("dead letter", "exported")."""


def add_dead_letters(commands: Commands, common: argparse.ArgumentParser, progress: Progress) -> None:
    """Add the commands; `progress` makes their progress lines."""
    group = commands.add_parser("dead-letters", help="records that no event could be made of: list, repair, replay")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument(
        "--reason", metavar="CODE", help="only those of a reason: the code before its colon, as not_json"
    )
    chosen.add_argument(
        "--since",
        type=_time,
        metavar="TIME",
        help="only those that the log took in at this time or later (ISO 8601, UTC without a time zone)",
    )
    chosen.add_argument("--until", type=_time, metavar="TIME", help="only those that it took in before this time")
    chosen.add_argument("--limit", type=_limit, metavar="N", help="at most N of them")

    listed = actions.add_parser("list", parents=[common, chosen], help="list them with id, reason and the first bytes")
    listed.add_argument(
        "--state", choices=[*(state.value for state in LetterState), "all"], default="open", help="(default: open)"
    )
    add_json(listed)
    listed.set_defaults(command=_list, reads=True)

    show = actions.add_parser("show", parents=[common], help="show a dead letter with all its bytes")
    show.add_argument("id", metavar="ID", help="partition and position of its record, as 3-1417")
    add_json(show)
    show.set_defaults(command=_show, reads=True)

    export = actions.add_parser("export", parents=[common, chosen], help="write open ones to a file, to be repaired")
    export.add_argument("file", metavar="FILE", help="the file, which must not exist yet; - for standard output")
    export.set_defaults(command=_with(progress, _export), reads=True)

    replay = actions.add_parser("replay", parents=[common, chosen], help="publish them again, each once")
    replay.add_argument("ids", metavar="ID", nargs="*", help="only these, unchanged")
    replay.add_argument(
        "--from",
        dest="repairs",
        metavar="FILE",
        help="those of an exported file, with the repaired `event` of each line",
    )
    replay.add_argument("--all", action="store_true", help="all open ones, unchanged")
    add_json(replay)
    replay.set_defaults(command=_with(progress, _replay), reads=True)

    resolve = actions.add_parser(
        "resolve", parents=[common, chosen], help="mark them as resolved: nothing more is to be done"
    )
    resolve.add_argument("ids", metavar="ID", nargs="*", help="only these")
    resolve.add_argument("--all", action="store_true", help="all open ones")
    resolve.add_argument("--note", type=_note, default="", help="the reason, for people")
    resolve.set_defaults(command=_with(progress, _resolve), reads=True)


def _with(
    progress: Progress, command: Callable[[Pipeline, argparse.Namespace, Progress], None]
) -> Callable[[Pipeline, Settings, argparse.Namespace], None]:
    return lambda pipeline, _settings, options: command(pipeline, options, progress)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)


def _time(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
        aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("must be a time as 2025-10-10T01:21:51Z or 2025-10-10") from None


def _note(text: str) -> str:
    try:
        check_note(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _selected(options: argparse.Namespace, state: LetterState | None = LetterState.OPEN) -> Selection:
    return Selection(None, options.reason, options.since, options.until, options.limit, state)


def _handle(pipeline: Pipeline) -> HandleDeadLetters:
    return pipeline.container.handle_dead_letters()


def _list(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    options.limit = limit = options.limit or LISTED
    state = None if options.state == "all" else LetterState(options.state)
    letters = list(_handle(pipeline).select(_selected(options, state)))
    note = f"these are the first {limit}; there may be more (--limit)" if len(letters) == limit else ""
    if options.json:
        print_json({"dead_letters": [letter.as_dict() for letter in letters], "notes": [note] if note else []})
        return
    if not letters:
        print("there are no dead letters" if options.state == "all" else f"there are no {options.state} dead letters")
    for letter in letters:
        print(plain("  ".join((letter.id, *_origins(letter), letter.reason, *_handled(letter)))))
        print(f"    {letter.record.value[:SHOWN_BYTES]!r}")
    if note:
        print(note)


def _origins(letter: Letter) -> list[str]:
    return [] if letter.record.origin is None else [letter.record.origin]


def _handled(letter: Letter) -> Iterator[str]:
    if letter.handling is not None:
        note = f": {letter.handling.note}" if letter.handling.note else ""
        yield f"({letter.state.value} {utc_text(letter.handling.at_ms)}{note})"


def _show(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    letters = _handle(pipeline).find([options.id])
    if options.json:
        print_json({"dead_letters": [letter.as_dict() for letter in letters]})
        return
    for letter in letters:
        record = letter.record
        print(plain(f"dead letter {letter.id}"))
        print(plain(f"  reason    {letter.reason}"))
        print(plain(f"  state     {' '.join(_handled(letter)).strip('()') or letter.state.value}"))
        print(plain(f"  where     partition {record.partition}, position {record.position}"))
        for origin in _origins(letter):
            print(plain(f"  origin    {origin}"))
        print(plain(f"  taken in  {utc_text(record.appended_at_ms)}"))
        print(plain(f"  customer  {letter.customer_id or 'unknown'}"))
        print(f"  key       {'none' if record.key is None else repr(record.key)}")
        print(f"  value     {counted(len(record.value), 'byte')}", flush=True)
        sys.stdout.buffer.write(record.value + b"\n")
        sys.stdout.buffer.flush()


def _export(pipeline: Pipeline, options: argparse.Namespace, progress: Progress) -> None:
    lines = map(encode_letter, _handle(pipeline).select(_selected(options)))
    if options.file == STANDARD_OUTPUT:
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
        return
    file, written, shows = Path(options.file), 0, progress("dead letter", "exported")
    try:
        with write_atomically(file) as stream:  # an incomplete export would look complete
            for line in lines:
                stream.write(line + b"\n")
                written += 1
                shows.update(written)
    finally:
        shows.end()
    print(f"{counted(written, 'dead letter')} exported to {file}; repair `event` in it, then: replay --from {file}")


def _replay(pipeline: Pipeline, options: argparse.Namespace, progress: Progress) -> None:
    chosen = _check_chosen(options, options.repairs is not None)
    shows, unread = progress("dead letter", "replayed"), list[str]()
    try:
        if options.repairs is not None:
            check_readable([options.repairs])
            repairs = _repairs(options.repairs, unread)
            result = _handle(pipeline).replay_repaired(repairs, options.limit, shows.update)
        else:
            result = _handle(pipeline).replay(chosen, shows.update)
    finally:
        shows.end()
    if options.json:
        print_json(result.as_dict() | {"unread_lines": unread})
    else:
        _print_replay(result, unread)
    if result.refused or unread:
        raise InvalidEvents(
            f"not published, since no event can be made of them: {result.refused + len(unread):,}; they stay open: "
            "export them, repair them, replay --from FILE; or resolve them"
        )


def _print_replay(result: Replay, unread: list[str]) -> None:
    for line in unread[:REFUSALS_SHOWN]:
        print(plain(line))
    for letter_id, reason in result.refusals[:REFUSALS_SHOWN]:
        print(plain(f"{letter_id}: {reason}"))
    if result.refused > REFUSALS_SHOWN:
        print(f"and {result.refused - REFUSALS_SHOWN:,} more")
    before = f"; {result.handled:,} replayed or resolved before" if result.handled else ""
    print(f"{counted(result.published, 'dead letter')} published again{before}")


def _repairs(name: str, unread: list[str]) -> Iterator[Repair]:
    """Yield the repairs in a file; an invalid line goes into `unread` with the reason."""
    for batch in batches(name, REPAIR_BYTES_MAX):
        for submission in batch:
            try:
                yield decode_repair(submission.value)
            except ValueError as error:
                unread.append(f"{submission.origin}: {error}")


def _resolve(pipeline: Pipeline, options: argparse.Namespace, progress: Progress) -> None:
    chosen, shows = _check_chosen(options), progress("dead letter", "resolved")
    try:
        resolved = _handle(pipeline).resolve(chosen, options.note, shows.update)
    finally:
        shows.end()
    print(f"{counted(resolved, 'dead letter')} resolved")


def _check_chosen(options: argparse.Namespace, has_file: bool = False) -> Selection:
    """Return the letters that a command selects, in one way.

    Raises:
        InvalidEvents: it selects none, or in several ways.
    """
    has_filter = (options.reason, options.since, options.until) != (None, None, None)
    ways = sum((bool(options.ids), has_file, has_filter or options.all))
    if ways != 1:
        raise InvalidEvents(
            "select dead letters in one way: by ids, by --reason, --since and --until, or --all"
            + (", or --from FILE" if "repairs" in options else "")
        )
    ids = frozenset(options.ids) or None
    return Selection(ids, options.reason, options.since, options.until, options.limit)

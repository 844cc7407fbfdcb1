"""The command that shows what was counted in windows."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

import attrs

from realtime_pipeline.application.serving.read_windows import LIMIT_MAX, Windows, item_as_dict
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Result
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.shop.times import END_OF_TIME, utc_text
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.cli.times import time_of
from realtime_pipeline.interfaces.text import plain
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LIMIT: Final = 20
FOLLOW_EVERY_S: Final = 1.0
_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKLINES_MAX: Final = 8
_OTHERS: Final = "(all others)"
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms"))


def add_windows(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    windows = commands.add_parser("windows", parents=[common], help="show what was counted in windows of time")
    windows.add_argument("name", metavar="NAME", nargs="?", help="what was counted; without it all names are listed")
    for name, default, means in (
        ("from", -END_OF_TIME, "the earliest start"),
        ("to", END_OF_TIME, "only windows that start before"),
    ):
        windows.add_argument(f"--{name}", dest=f"{name}_ms", type=time_of, default=default, metavar="TIME", help=means)
    windows.add_argument(
        "--key",
        action="append",
        metavar="VALUE",
        help="only this key; repeat the option for each of its fields, in order; an empty VALUE is one that is absent",
    )
    windows.add_argument("--limit", type=_limit, default=LIMIT, help=f"the latest windows (default: {LIMIT})")
    windows.add_argument(
        "--follow", action="store_true", help="go on: print what has changed, each second, until stopped"
    )
    add_json(windows)
    windows.set_defaults(command=_windows, reads=True)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)


def _windows(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    if options.name is None:
        _list(settings.analytics.definitions, options.json)
        return
    key = None if options.key is None else [value or None for value in options.key]
    read = partial(pipeline.container.read_windows(), options.name, options.from_ms, options.to_ms, key, options.limit)
    if options.follow:
        _follow(read, options.json)
        return
    found = read()
    if options.json:
        print_json(found.as_dict())
    else:
        print("\n".join(map(plain, _in_words(found))))


def _follow(read: Callable[[], Windows], as_json: bool) -> None:
    """Print windows, and each second those that have changed, until Ctrl-C."""
    seen: dict[tuple[int, tuple[str | None, ...] | None], WindowResult] = {}
    with suppress(KeyboardInterrupt):
        while True:
            windows = read()
            changed = [item for item in windows.items if seen.get((item.start_ms, item.key)) != item]
            is_first = not seen
            seen = {(item.start_ms, item.key): item for item in windows.items}
            if changed:
                found = attrs.evolve(windows, items=changed)
                lines = _rows_as_json(found) if as_json else _rows(found, with_heading=is_first)
                print("\n".join(lines), flush=True)
            time.sleep(FOLLOW_EVERY_S)


def _rows_as_json(windows: Windows) -> Iterator[str]:
    """A line for each window."""
    for item in windows.items:
        yield json.dumps({"name": windows.definition.name, **item_as_dict(item)}, ensure_ascii=False)


def _rows(windows: Windows, with_heading: bool) -> Iterator[str]:
    heading = [_heading(windows.definition)] if with_heading else []
    return map(plain, _table([*heading, *(_row(windows.definition, item) for item in windows.items)]))


def _list(definitions: Sequence[WindowedAggregate], as_json: bool) -> None:
    if as_json:
        items = [
            {"name": found.name, "measures": [*found.measures], "description": found.description}
            for found in definitions
        ]
        print_json({"items": items})
        return
    for found in definitions:
        key = f" by {', '.join(found.key)}" if found.key else ""
        print(plain(f"{found.name}: {', '.join(found.measures)} per {_length(found)}{key}"))
        if found.description:
            print(plain(f"  {found.description}"))
    if not definitions:
        print("no windows are counted: name some in analytics.shipped, or add analytics.windows to the settings")


def _length(definition: WindowedAggregate) -> str:
    window = definition.window
    if window.calendar:
        return f"{window.calendar} in {window.timezone}"
    slide = f" every {_duration(window.slide_ms)}" if window.slide_ms else ""
    return f"{_duration(window.size_ms)}{slide}"


def _duration(ms: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if ms % size == 0)
    return f"{ms // size:,} {unit}"


def _in_words(windows: Windows) -> Iterator[str]:
    definition, items = windows.definition, windows.items
    if not items:
        yield "no windows yet: a worker has counted no event in the time asked for"
    else:
        yield from _table([_heading(definition), *(_row(definition, item) for item in items)])
        yield from _sparklines(definition, items)
    if windows.late:
        yield f"late: {counted(windows.late, 'event')}, which came when all windows of theirs were final"


def _heading(definition: WindowedAggregate) -> list[str]:
    return ["start (UTC)", *definition.key, *definition.measures, "state"]


def _row(definition: WindowedAggregate, item: WindowResult) -> list[str]:
    start = utc_text(item.start_ms).removesuffix("Z").removesuffix(".000").replace("T", " ")
    state = f"{item.state.value}, partial" if item.is_partial else item.state.value
    return [start, *_key(definition, item), *map(_value, item.values.values()), state]


def _key(definition: WindowedAggregate, item: WindowResult) -> list[str]:
    if item.key is None:
        return [_OTHERS, *[""] * (len(definition.key) - 1)]
    return ["-" if part is None else part for part in item.key]


def _value(result: Result) -> str:
    if result is None:
        return "-"
    if isinstance(result, str):
        return result
    if isinstance(result, int):
        return f"{result:,}"
    if isinstance(result, float):
        return f"{result:,.4f}".rstrip("0").rstrip(".")
    return ", ".join(f"{name} {_value(number)}" for name, number in result)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _sparklines(definition: WindowedAggregate, items: Sequence[WindowResult]) -> Iterator[str]:
    """The first measure that is a number, over time: a line for each key."""
    starts = sorted({item.start_ms for item in items})
    name = next((name for name, value in items[0].values.items() if isinstance(value, int | float)), None)
    if name is None or len(starts) < 2:
        return
    by_key: dict[str, dict[int, float]] = {}
    for item in items:
        value = item.values[name]
        if isinstance(value, int | float):
            by_key.setdefault(" ".join(_key(definition, item)), {})[item.start_ms] = value
    for key, values in list(by_key.items())[:_SPARKLINES_MAX]:
        yield f"{name} {key}".rstrip() + ": " + sparkline([values.get(start, 0) for start in starts])


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers as bars, the smallest (at most 0) lowest and the largest highest."""
    least, most = min(0, *values), max(0, *values)
    span = (most - least) or 1
    return "".join(_BARS[round((value - least) / span * (len(_BARS) - 1))] for value in values)

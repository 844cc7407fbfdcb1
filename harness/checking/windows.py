"""Compare the windows of a store with those that the oracle computes from the log."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from harness.oracle.window_fields import field_of, holds, text_of
from harness.oracle.windows import ExpectedWindows, is_measured, number_of
from realtime_pipeline.application.serving.read_windows import LIMIT_MAX, ReadWindows
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.domain.shop.events import Event

HYPERLOGLOG_ERROR: Final = 0.08
"""Five standard errors, 1.04 / sqrt(2^12) each (Flajolet et al. 2007, section 1)."""
SKETCH_ERROR: Final = 0.011
FLOAT_ERROR: Final = 1e-9
SUM_ERROR: Final = 1e-13
"""Sums are exact here, and the oracle's are of floats: a thousandth of a penny in a hundred million."""


def window_differences(
    definitions: Sequence[WindowedAggregate],
    expected: Mapping[str, ExpectedWindows],
    times_ms: Sequence[int],
    read: ReadWindows,
) -> Iterator[str]:
    """Yield a line for each window, key and measure that differs; `times_ms` has the time of every partition."""
    for definition in definitions:
        wanted, found = expected[definition.name], read(definition.name, limit=1)
        if wanted.late != found.late:
            yield f"{definition.name}: {found.late} late events, should be {wanted.late}"
        if wanted.late_by_ticks != found.late_by_ticks:
            yield f"{definition.name}: {found.late_by_ticks} late by ticks, should be {wanted.late_by_ticks}"
        stored = {(item.start_ms, item.key): item for item in _read_all(definition, read)}
        for start, key in sorted(wanted.events.keys() ^ stored.keys(), key=str):
            which = "is missing" if (start, key) in wanted.events else "should not be there"
            yield f"{definition.name}: window {start} of {key} {which}"
        for start, key in sorted(wanted.events.keys() & stored.keys(), key=str):
            item, events = stored[start, key], wanted.events[start, key]
            state = _state(definition, wanted.ends_ms[start], min(times_ms, default=-1))
            if (item.state.value, item.end_ms, item.is_partial) != (state, wanted.ends_ms[start], False):
                yield f"{definition.name}: window {start} is {item}, should be {state}"
            for name, value in item.values.items():
                measured = [event for event in events if is_measured(definition, name, event)]
                if not _agrees(definition, name, measured, value):
                    yield f"{definition.name}: {name} of {key} in window {start} is {value}, of {len(measured)} events"


def _read_all(definition: WindowedAggregate, read: ReadWindows) -> Iterator[WindowResult]:
    """Read all windows, the latest first, so many at once as may be read."""
    items = read(definition.name, limit=LIMIT_MAX).items
    while items:
        yield from items
        items = read(definition.name, to_ms=items[0].start_ms, limit=LIMIT_MAX).items


def _state(definition: WindowedAggregate, end_ms: int, time_ms: int) -> str:
    if time_ms - definition.bound_ms < end_ms:
        return "live"
    return "closed" if time_ms - definition.bound_ms < end_ms + definition.lateness_ms else "final"


def _agrees(definition: WindowedAggregate, name: str, events: Sequence[Event], value: object) -> bool:
    measure = definition.measures[name]
    kind = measure.measure
    if kind == "count":
        return value == len(events)
    if kind == "ratio":
        fitting = [
            event
            for event in events
            if all(holds(field_of(definition, event, field), test) for field, test in measure.of_which.items())
        ]
        return _same(value, len(fitting) / len(events) if events else None)
    if kind in ("first", "last", "top", "distinct"):
        return _texts_agree(definition, name, events, value)
    numbers = [float(str(number_of(definition, event, measure.field))) for event in events]
    if kind == "quantiles":
        return _quantiles_agree(measure.quantiles, sorted(numbers), value)
    if kind == "sum":
        return _same(value, math.fsum(numbers), SUM_ERROR)
    return _same(value, _STATISTICS[kind](numbers) if numbers else None)


def _variance(numbers: Sequence[float]) -> float:
    mean = math.fsum(numbers) / len(numbers)
    return math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)


_STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "min": min,
    "max": max,
    "mean": lambda numbers: math.fsum(numbers) / len(numbers),
    "variance": _variance,
}


def _texts_agree(definition: WindowedAggregate, name: str, events: Sequence[Event], value: object) -> bool:
    measure = definition.measures[name]
    texts = [str(text_of(definition, event, measure.field)) for event in events]
    if measure.measure == "distinct":
        number = len(set(texts))
        allowed = 0 if number <= measure.entries_max else HYPERLOGLOG_ERROR * number
        return isinstance(value, int) and abs(value - number) <= allowed
    if measure.measure == "top":
        counts = Counter(texts)
        if len(counts) > measure.entries_max:
            return isinstance(value, list) and sum(count for _, count in value) <= len(texts)
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: measure.limit]
        return [tuple(entry) for entry in value] == ranked if isinstance(value, list | tuple) else not ranked
    by_time = sorted((event.occurred_at_ms, event.event_id, text) for event, text in zip(events, texts, strict=True))
    if not by_time:
        return value is None
    return value == (by_time[0] if measure.measure == "first" else by_time[-1])[2]


def _quantiles_agree(quantiles: Sequence[float], numbers: Sequence[float], value: object) -> bool:
    if not numbers or not isinstance(value, list | tuple):
        return not numbers and value is None
    exact = [numbers[math.floor(quantile * (len(numbers) - 1))] for quantile in quantiles]
    return all(
        abs(found - wanted) <= SKETCH_ERROR * abs(wanted) + 1e-6
        for (_, found), wanted in zip(value, exact, strict=True)
    )


def _same(value: object, wanted: float | None, error: float = FLOAT_ERROR) -> bool:
    if value is None or wanted is None:
        return value is wanted
    return isinstance(value, int | float) and math.isclose(value, wanted, rel_tol=error, abs_tol=1e-6)

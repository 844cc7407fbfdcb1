"""Reading windows: the panes of all partitions merged, and whether a window can still change."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import attrs

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate, Key
from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Reads, Result
from realtime_pipeline.domain.analytics.measures.table import ACCUMULATORS
from realtime_pipeline.domain.analytics.panes import Chunks, Pane


class WindowState(Enum):
    """Whether a window can still change."""

    LIVE = "live"
    """Events of it are still expected."""
    CLOSED = "closed"
    """Every partition's time has passed its end and the bound; late events still count."""
    FINAL = "final"
    """The lateness is over, too: it never changes again."""


@attrs.frozen
class WindowResult:
    """What a window has of a key.

    Times are ms since 1970; the end is not in the window. `key` has the values of the key's fields; None stands for all
    keys that are not kept. `values` are the measures by name, numbers in the unit of the field (of money the currency's
    unit). `is_partial` says that some partition began to count after the window's start.
    """

    start_ms: int
    end_ms: int
    key: Key | None
    values: Mapping[str, Result]
    state: WindowState
    is_partial: bool


def window_state(compiled: CompiledAggregate, window_ms: int, time_ms: int) -> WindowState:
    """The state of a window; `time_ms` is the smallest time of all partitions, -1 where one has no event yet."""
    definition = compiled.definition
    closes_ms = compiled.cut.end_of(window_ms) + definition.bound_ms
    if time_ms < closes_ms:
        return WindowState.LIVE
    return WindowState.FINAL if time_ms >= closes_ms + definition.lateness_ms else WindowState.CLOSED


def merge_window(
    compiled: CompiledAggregate, window_ms: int, partitions: Iterable[Mapping[int, Chunks]]
) -> dict[Key | None, Mapping[str, Result]]:
    """Merge the panes of a window, of all partitions; those of each are by start.

    Returns:
        The measures of each key.
    """
    total = Pane(compiled)
    for panes in partitions:
        for start_ms in compiled.cut.panes_of(window_ms):
            if start_ms in panes:
                pane = Pane(compiled)
                pane.load(panes[start_ms])
                for (first_ms, key), accumulators in pane.parts().items():
                    if first_ms <= window_ms:
                        total.merge(window_ms, key, accumulators)
    return {key: _results(compiled, accumulators) for (_, key), accumulators in total.parts().items()}


def _results(compiled: CompiledAggregate, accumulators: Sequence[Accumulator]) -> Mapping[str, Result]:
    results: dict[str, Result] = dict.fromkeys(compiled.definition.measures)
    for (name, measure), accumulator in zip(compiled.measures, accumulators, strict=True):
        kind = ACCUMULATORS[measure.measure]
        scale = compiled.definition.field(measure.field).scale if kind.reads is Reads.NUMBER else 1
        results[name] = _in_units(accumulator.result(), scale**kind.dimension)
    return results


def _in_units(result: Result, scale: int) -> Result:
    if scale == 1 or result is None or isinstance(result, str):
        return result
    if isinstance(result, int | float):
        return _number(result, scale)
    return [(name, _number(number, scale)) for name, number in result]


def _number(number: float, scale: int) -> int | float:
    return number // scale if isinstance(number, int) and number % scale == 0 else number / scale

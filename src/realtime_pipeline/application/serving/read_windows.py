"""ReadWindows: what was counted in windows, merged over all partitions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import Final

import attrs

from realtime_pipeline.application.errors import UnknownWindow
from realtime_pipeline.application.merged_windows import in_order, merged_windows
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Result
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.domain.analytics.shipped import shipped_aggregates
from realtime_pipeline.domain.shop.times import END_OF_TIME, utc_text

LIMIT: Final = 1_000
"""How many windows are read at most, if a caller does not say."""
LIMIT_MAX: Final = 10_000
STARTS_PAGE: Final = 1_000
"""How many starts of windows with results are listed at once."""
READ_AT_ONCE_MIN: Final = 100
"""So many windows are read at once at least, where few of them have the key."""
BEFORE_ALL_TIME: Final = -1


@attrs.frozen
class Windows:
    """Windows of a definition, the earliest first, and in each the keys in order.

    `time_ms` is up to when every partition has come, -1 where one has no event yet. `late` is how many events came when
    all of their windows were final, `late_by_ticks` how many of them only because ticks had moved time.
    """

    definition: WindowedAggregate
    items: Sequence[WindowResult]
    time_ms: int
    late: int
    late_by_ticks: int

    def as_dict(self) -> dict[str, object]:
        """Return the windows as a JSON document, times in UTC.

        Example:
            {"name": "gmv_per_minute", "late": 0, "late_by_ticks": 0, "items": [{"start": "2026-03-01T06:00:00.000Z",
             "end": "2026-03-01T06:01:00.000Z", "key": ["kitchen"], "values": {"gross": 12.5}, "state": "final",
             "partial": false}]}
        """
        return {
            "name": self.definition.name,
            "late": self.late,
            "late_by_ticks": self.late_by_ticks,
            "items": [item_as_dict(item) for item in self.items],
        }


def item_as_dict(item: WindowResult) -> dict[str, object]:
    """Return what a window has of a key as a JSON document, times in UTC."""
    return {
        "start": utc_text(item.start_ms),
        "end": utc_text(item.end_ms),
        "key": None if item.key is None else list(item.key),
        "values": {name: _as_json(value) for name, value in item.values.items()},
        "state": item.state.value,
        "partial": item.is_partial,
    }


def _as_json(result: Result) -> object:
    """Entries as lists, since JSON has no tuples."""
    return result if result is None or isinstance(result, int | float | str) else [list(entry) for entry in result]


class ReadWindows:
    """Reads windows of a definition: their results where they are written, else what every partition has, merged."""

    def __init__(
        self, queries: WindowQueries, results: WindowResults, definitions: Collection[WindowedAggregate]
    ) -> None:
        self._queries = queries
        self._results = results
        self._compiled = {definition.name: CompiledAggregate(definition) for definition in definitions}

    def __call__(
        self,
        name: str,
        from_ms: int = -END_OF_TIME,
        to_ms: int = END_OF_TIME,
        key: Sequence[str | None] | None = None,
        limit: int = LIMIT,
    ) -> Windows:
        """Read windows.

        Args:
            name: the name of the definition.
            from_ms: the earliest start, in ms since 1970.
            to_ms: windows that start here or later are left out.
            key: only this key; None for all.
            limit: how many windows at most: the latest.

        Returns:
            The windows that have events.

        Raises:
            UnknownWindow: there is no such definition.
            Unreachable: the store does not reply.
        """
        compiled = self._compiled.get(name)
        if compiled is None:
            raise UnknownWindow(self._unknown(name))
        fingerprint = compiled.fingerprint
        notes = self._queries.notes([fingerprint])  # before panes are listed: those have all that these times count
        time_ms = min((found.counted_ms(fingerprint) for found in notes.values()), default=BEFORE_ALL_TIME)
        panes = self._queries.starts(fingerprint)
        items: list[WindowResult] = []
        number = 0
        starts = self._starts(compiled, panes, from_ms, to_ms)
        while number < limit:  # of windows without the key others are read, until there are enough
            chosen = list(islice(starts, max(limit - number, READ_AT_ONCE_MIN)))
            if not chosen:
                break
            found = self._read(compiled, chosen[::-1], panes, time_ms)
            found = [item for item in found if key is None or item.key == tuple(key)]
            kept = sorted({item.start_ms for item in found})[number - limit :]
            number += len(kept)
            items = [*(item for item in found if item.start_ms >= kept[0]), *items] if kept else items
        noted = [found.definitions[fingerprint] for found in notes.values() if fingerprint in found.definitions]
        late, by_ticks = sum(found.late for found in noted), sum(found.late_by_ticks for found in noted)
        return Windows(compiled.definition, items, time_ms, late, by_ticks)

    def _unknown(self, name: str) -> str:
        """Say that a window is not counted, and which are."""
        is_off = name in shipped_aggregates("UTC")
        problem = f"{name} is not counted: add it to analytics.shipped" if is_off else f'there is no window "{name}"'
        return f"{problem}; there are: {', '.join(sorted(self._compiled)) or 'none: see analytics.shipped'}"

    def _starts(
        self, compiled: CompiledAggregate, panes: Mapping[int, Collection[int]], from_ms: int, to_ms: int
    ) -> Iterator[int]:
        """Yield the starts of windows that have panes or results, the latest first.

        Panes were listed before results are: what was deleted in between has results.
        """
        windows_of = compiled.cut.windows_of
        of_panes = {pane for starts in panes.values() for pane in starts}
        with_panes = sorted({start for pane in of_panes for start in windows_of(pane) if from_ms <= start < to_ms})
        with_results = self._with_results(compiled, from_ms, to_ms)
        for start, _ in groupby(merge(reversed(with_panes), with_results, reverse=True)):  # many have both
            yield start

    def _with_results(self, compiled: CompiledAggregate, from_ms: int, to_ms: int) -> Iterator[int]:
        """Yield the starts of windows that have results, the latest first, page by page."""
        while page := self._results.starts(compiled.fingerprint, from_ms, to_ms, STARTS_PAGE):
            yield from page
            to_ms = page[-1]

    def _read(
        self,
        compiled: CompiledAggregate,
        starts: Sequence[int],
        panes: Mapping[int, Collection[int]],
        time_ms: int,
    ) -> list[WindowResult]:
        """Read the windows that begin at these times: their results, or else their panes, merged."""
        wanted = {pane for start in starts for pane in compiled.cut.panes_of(start)}
        listed = {partition: wanted.intersection(of_cell) for partition, of_cell in panes.items()}
        cells = self._queries.read(compiled.fingerprint, listed)
        results = self._results.read(compiled.fingerprint, starts)  # after the panes
        merged = merged_windows(compiled, [start for start in starts if start not in results], cells, time_ms)
        return [
            item
            for start in starts
            for item in (in_order(results[start]) if start in results else merged.get(start, ()))
        ]

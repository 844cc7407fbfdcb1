"""ReadWindows: what was counted in windows, merged over all partitions."""

from collections.abc import Collection, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.errors import UnknownWindow
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Result
from realtime_pipeline.domain.analytics.results import WindowResult, merge_window, window_state
from realtime_pipeline.domain.analytics.shipped import shipped_aggregates
from realtime_pipeline.domain.shop.times import END_OF_TIME, utc_text

LIMIT: Final = 1_000
"""How many windows are read at most, if a caller does not say."""
LIMIT_MAX: Final = 10_000
READ_AT_ONCE_MIN: Final = 100
"""So many windows are read at once at least, where few of them have the key."""
BEFORE_ALL_TIME: Final = -1


@attrs.frozen
class Windows:
    """Windows of a definition, the earliest first, and in each the keys in order.

    `time_ms` is up to when every partition has come, -1 where one has no event yet. `late` is how many events came when
    all of their windows were final.
    """

    definition: WindowedAggregate
    items: Sequence[WindowResult]
    time_ms: int
    late: int

    def as_dict(self) -> dict[str, object]:
        """Return the windows as a JSON document, times in UTC.

        Example:
            {"name": "gmv_per_minute", "late": 0, "items": [{"start": "2026-03-01T06:00:00.000Z",
             "end": "2026-03-01T06:01:00.000Z", "key": ["kitchen"], "values": {"gross": 12.5}, "state": "final",
             "partial": false}]}
        """
        return {
            "name": self.definition.name,
            "late": self.late,
            "items": [
                {
                    "start": utc_text(item.start_ms),
                    "end": utc_text(item.end_ms),
                    "key": None if item.key is None else list(item.key),
                    "values": {name: _as_json(value) for name, value in item.values.items()},
                    "state": item.state.value,
                    "partial": item.is_partial,
                }
                for item in self.items
            ],
        }


def _as_json(result: Result) -> object:
    """Entries as lists, since JSON has no tuples."""
    return result if result is None or isinstance(result, int | float | str) else [list(entry) for entry in result]


class ReadWindows:
    """Reads windows of a definition from every partition, and merges them."""

    def __init__(self, queries: WindowQueries, definitions: Collection[WindowedAggregate]) -> None:
        self._queries = queries
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
        panes = self._queries.starts(compiled.fingerprint)
        windows_of = compiled.cut.windows_of
        starts = sorted({start for pane in panes for start in windows_of(pane) if from_ms <= start < to_ms})
        found = self._read(compiled, [], None)  # the notes, also where there is no window
        items: list[WindowResult] = []
        number = 0
        while starts and number < limit:  # of windows without the key others are read, until there are enough
            size = max(limit - number, READ_AT_ONCE_MIN)
            starts, chosen = starts[:-size], starts[-size:]
            found = self._read(compiled, chosen, None if key is None else tuple(key))
            kept = sorted({item.start_ms for item in found.items})[number - limit :]
            number += len(kept)
            items = [*(item for item in found.items if item.start_ms >= kept[0]), *items] if kept else items
        return attrs.evolve(found, items=items)

    def _unknown(self, name: str) -> str:
        """Say that a window is not counted, and which are."""
        is_off = name in shipped_aggregates("UTC")
        problem = f"{name} is not counted: add it to analytics.shipped" if is_off else f'there is no window "{name}"'
        return f"{problem}; there are: {', '.join(sorted(self._compiled)) or 'none: see analytics.shipped'}"

    def _read(self, compiled: CompiledAggregate, starts: Sequence[int], key: tuple[str | None, ...] | None) -> Windows:
        """Read and merge the windows that begin at these times."""
        cut = compiled.cut
        wanted = {pane for start in starts for pane in cut.panes_of(start)}
        cells = self._queries.read(compiled.fingerprint, sorted(wanted)).values()
        times_ms = [cell.counted_ms for cell in cells]
        time_ms = min(times_ms, default=BEFORE_ALL_TIME)
        noted = [cell.notes for cell in cells if cell.notes is not None]
        items: list[WindowResult] = []
        for start in starts:
            end_ms, state = cut.end_of(start), window_state(compiled, start, time_ms)
            is_partial = any(notes.is_partial(start, end_ms + compiled.allowed_ms) for notes in noted)
            merged = merge_window(compiled, start, [cell.panes for cell in cells])
            items += [
                WindowResult(start, end_ms, found, values, state, is_partial)
                for found, values in sorted(merged.items(), key=_by_key)
                if key is None or found == key
            ]
        return Windows(compiled.definition, items, time_ms, sum(notes.late for notes in noted))


def _by_key(pair: tuple[tuple[str | None, ...] | None, object]) -> tuple[bool, list[tuple[bool, str]]]:
    """Keys in order of their texts, an absent value first, and what is of all other keys last."""
    key = pair[0]
    return key is None, [(part is not None, part or "") for part in key or ()]

"""Merging what partitions reply into results of windows: for readers, and for what is emitted."""

from collections.abc import Iterable, Mapping

from realtime_pipeline.application.ports.window_queries import CellPanes
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.results import WindowResult, merge_window, window_state


def merged_windows(
    compiled: CompiledAggregate, starts_ms: Iterable[int], cells: Mapping[int, CellPanes], time_ms: int
) -> dict[int, list[WindowResult]]:
    """Merge windows of a definition over all partitions.

    Args:
        compiled: the definition.
        starts_ms: the starts of the windows.
        cells: what every partition replied, with all panes of these windows.
        time_ms: up to when every partition has counted the definition.

    Returns:
        The results of each window that has events and of which no partition has deleted panes, keys in order.
    """
    noted = [cell.notes for cell in cells.values() if cell.notes is not None]
    purged_ms = max((notes.purged_ms for notes in noted), default=-1)
    found: dict[int, list[WindowResult]] = {}
    for start in starts_ms:
        end_ms, final_ms = compiled.cut.end_of(start), compiled.final_ms(start)
        if final_ms <= purged_ms:
            continue
        state = window_state(compiled, start, time_ms)
        is_partial = any(notes.is_partial(start, final_ms) for notes in noted)
        merged = merge_window(compiled, start, [cell.panes for cell in cells.values()])
        if merged:
            results = [WindowResult(start, end_ms, key, values, state, is_partial) for key, values in merged.items()]
            found[start] = in_order(results)
    return found


def in_order(results: Iterable[WindowResult]) -> list[WindowResult]:
    """Sort results of a window by the texts of their keys, an absent value first, and all other keys last."""
    return sorted(
        results, key=lambda found: (found.key is None, [(part is not None, part or "") for part in found.key or ()])
    )

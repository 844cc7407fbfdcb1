"""EmitWindows: write the results of windows that have become final."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from zlib import crc32

import attrs

from realtime_pipeline.application.merged_windows import merged_windows
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.window_queries import CellNotes, WindowQueries
from realtime_pipeline.application.ports.window_results import Emitted, WindowResults
from realtime_pipeline.application.ports.window_topic import WindowTopic
from realtime_pipeline.application.processing.settings import WindowUpkeepSettings
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.results import WindowResult

PANES_AT_ONCE: Final = 2_000
"""So many panes are read at once at most, but those of one window always."""
EXPIRE_EVERY_MS: Final = 60_000
EXPIRED_AT_ONCE: Final = 100


@attrs.frozen
class _Due:
    """Windows of a definition that are to be written, the earliest first: those final at a time, at which partitions
    had these panes. What is final stays as it is, so the list stays true while it is written piece by piece: as long as
    results are written as far as `written`, where the last piece ended."""

    time_ms: int
    windows: deque[int]
    panes: Mapping[int, Collection[int]]
    written: Emitted = attrs.Factory(Emitted)


class EmitWindows:
    """Writes results of the definitions whose names belong to owned partitions: `crc32(name) % partitions`.

    How far results are written is stored with them, so that both are lost together or not at all. Two workers may both
    write a result for a while: they write the same.
    """

    def __init__(
        self,
        queries: WindowQueries,
        results: WindowResults,
        topic: WindowTopic,
        definitions: Sequence[CompiledAggregate],
        settings: WindowUpkeepSettings,
        clock: Clock,
    ) -> None:
        self._queries = queries
        self._results = results
        self._topic = topic
        self._definitions = definitions
        self._settings = settings
        self._settle_ms = 0 if results.is_lossless else settings.settle_ms
        self._clock = clock
        self._due: dict[str, _Due] = {}
        self._expired_at_ms = clock.monotonic_ms()

    def __call__(self, owned: Collection[int], notes: Mapping[int, CellNotes]) -> bool:
        """Write what has become final, a bounded number of windows; return whether more is to be written.

        Args:
            owned: the partitions that this worker owns.
            notes: what all partitions have noted.

        Raises:
            Unreachable: the store or the topic of results does not respond.
            UnrecoverableState: there is no such topic.
        """
        mine = [found for found in self._definitions if crc32(found.definition.name.encode()) % len(notes) in owned]
        fingerprints = {found.fingerprint for found in mine}
        self._due = {fingerprint: due for fingerprint, due in self._due.items() if fingerprint in fingerprints}
        if not mine:
            return False
        written = self._results.emitted(fingerprints)
        has_more = False
        for compiled in mine:
            has_more = self._emit(compiled, written[compiled.fingerprint], notes) or has_more
        self._expire(mine)
        return has_more

    def _emit(self, compiled: CompiledAggregate, emitted: Emitted, notes: Mapping[int, CellNotes]) -> bool:
        fingerprint, now_ms = compiled.fingerprint, self._clock.now_ms()
        counted_ms = min(found.counted_ms(fingerprint) for found in notes.values())
        due = self._due.pop(fingerprint, None)
        if due is not None and due.written != emitted:
            due = None  # a failover has set results back: the list lacks what is to be written again
        if due is None and compiled.becomes_final(emitted.emitted_ms, counted_ms):
            panes = self._queries.starts(fingerprint)
            due = _Due(counted_ms, _final_windows(compiled, panes, emitted.emitted_ms, counted_ms), panes)
        if due is None:
            self._settle(fingerprint, emitted, now_ms)
            return False
        at_once = min(len(due.windows), self._windows_at_once(compiled, len(notes)))
        chosen = [due.windows.popleft() for _ in range(at_once)]
        results = self._read(compiled, chosen, due)
        reached_ms = compiled.final_ms(chosen[-1]) if due.windows else due.time_ms
        self._topic.publish(compiled.definition, results)
        advanced = emitted.advanced(reached_ms, now_ms, self._settle_ms)
        self._results.write(fingerprint, results, advanced, now_ms, emitted)
        if due.windows:
            self._due[fingerprint] = attrs.evolve(due, written=advanced)
        return bool(due.windows) or compiled.becomes_final(due.time_ms, counted_ms)  # while the list was written

    @staticmethod
    def _windows_at_once(compiled: CompiledAggregate, partitions: int) -> int:
        panes = len(compiled.cut.panes_of(compiled.cut.pane_of(0)))
        return max(1, PANES_AT_ONCE // (panes * partitions))

    def _read(self, compiled: CompiledAggregate, windows: Sequence[int], due: "_Due") -> list[WindowResult]:
        """Read the panes of windows, and merge them. Left out are windows whose panes are gone, which have results; and
        those that are partial now, as after a rebuild from a log without its beginning, and had whole results before.
        """
        if not windows:
            return []
        wanted = {pane for window in windows for pane in compiled.cut.panes_of(window)}
        starts = {partition: wanted.intersection(starts) for partition, starts in due.panes.items()}
        cells = self._queries.read(compiled.fingerprint, starts)
        merged = merged_windows(compiled, windows, cells, due.time_ms)
        partial = [window for window, results in merged.items() if any(result.is_partial for result in results)]
        before = self._results.read(compiled.fingerprint, partial) if partial else {}
        whole = {window for window, results in before.items() if not any(result.is_partial for result in results)}
        return [result for window, results in merged.items() if window not in whole for result in results]

    def _settle(self, fingerprint: str, emitted: Emitted, now_ms: int) -> None:
        """Note that results are old enough not to be lost."""
        if emitted.settled_ms < emitted.emitted_ms:
            advanced = emitted.advanced(emitted.emitted_ms, now_ms, self._settle_ms)
            if advanced != emitted:
                self._results.write(fingerprint, [], advanced, now_ms, emitted)

    def _expire(self, definitions: Sequence[CompiledAggregate]) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._expired_at_ms < EXPIRE_EVERY_MS:
            return
        self._expired_at_ms = now_ms
        before_ms = self._clock.now_ms() - self._settings.results_keep_ms
        for compiled in definitions:
            self._results.expire(compiled.fingerprint, before_ms, EXPIRED_AT_ONCE)


def _final_windows(
    compiled: CompiledAggregate, panes: Mapping[int, Collection[int]], after_ms: int, until_ms: int
) -> deque[int]:
    """The windows with panes that became final after a time and until another, the earliest first."""
    of_panes = {start for starts in panes.values() for start in starts}
    windows = {window for pane in of_panes for window in compiled.cut.windows_of(pane)}
    return deque(sorted(window for window in windows if after_ms < compiled.final_ms(window) <= until_ms))

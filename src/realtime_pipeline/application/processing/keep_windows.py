"""KeepWindows: what a worker does for windows between its rounds."""

from collections.abc import Collection, Mapping
from typing import Final

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.processing.emit_windows import EmitWindows
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.application.processing.purge_windows import PurgeWindows
from realtime_pipeline.application.processing.write_ticks import WriteTicks

STEP_EVERY_MS: Final = 1_000


class KeepWindows:
    """Once a second: write results of final windows, delete their panes, and let time pass on quiet partitions."""

    def __init__(
        self,
        queries: WindowQueries,
        emit: EmitWindows,
        purge: PurgeWindows,
        write_ticks: WriteTicks,
        fingerprints: Collection[str],
        clock: Clock,
    ) -> None:
        self._queries = queries
        self._emit = emit
        self._purge = purge
        self._write_ticks = write_ticks
        self._fingerprints = fingerprints
        self._clock = clock
        self._stepped_at_ms = clock.monotonic_ms() - STEP_EVERY_MS
        self._has_more = self._has_appended = False

    def has_appended(self) -> bool:
        """Whether ticks were appended to the log since this was asked last."""
        appended, self._has_appended = self._has_appended, False
        return appended

    def step(self, owned: Mapping[int, OwnedCell], is_paced: bool = True) -> bool:
        """Do what is due, a bounded piece of it; return whether more is due now. Called after every round.

        Raises:
            Fenced: another worker has claimed a cell.
            Unreachable: the store or the log does not respond.
        """
        if not owned:
            return False
        now_ms = self._clock.monotonic_ms()
        if is_paced and not self._has_more and now_ms - self._stepped_at_ms < STEP_EVERY_MS:
            return False
        self._stepped_at_ms = now_ms
        notes = self._queries.notes(self._fingerprints)
        has_emitted_all = not self._emit(owned.keys(), notes)
        has_purged_all = not self._purge(owned, notes)
        if is_paced:
            self._has_appended = self._write_ticks(owned, notes) or self._has_appended
        self._has_more = not (has_emitted_all and has_purged_all)
        return self._has_more

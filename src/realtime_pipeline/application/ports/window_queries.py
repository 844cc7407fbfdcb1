"""WindowQueries: the readers' side of windows."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import attrs

from realtime_pipeline.domain.analytics.pane_notes import BEFORE_ALL_TIME, NOTES_MS, TIME, Counted, Notes
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId


@attrs.frozen
class CellPanes:
    """What one partition has of a definition.

    `time_ms` is the partition's time, -1 where nothing has happened. `notes` are None where the partition has never
    counted the definition. `panes` are those asked for that are not empty, by their start.
    """

    time_ms: int
    notes: Notes | None
    panes: Mapping[int, Chunks]

    @property
    def counted_ms(self) -> int:
        """Up to when the partition has counted the definition; -1 where it has not begun."""
        if self.notes is None:
            return BEFORE_ALL_TIME
        stopped_ms = self.notes.stopped_ms
        return self.time_ms if stopped_ms is None else min(stopped_ms, self.time_ms)

    @classmethod
    def of(cls, stored: Mapping[PaneId, Chunks], fingerprint: str) -> "CellPanes":
        """Make it of what is stored: the partition's time, the definition's notes, and its panes."""
        return cls(
            Counted.of(stored.get(TIME, {})).time_ms,
            Notes.of(stored.get(PaneId(fingerprint, NOTES_MS), {})),
            {id_.start_ms: chunks for id_, chunks in stored.items() if id_.start_ms != NOTES_MS and chunks},
        )


class WindowQueries(ABC):
    """Reads what partitions have counted in windows. Open to any number of processes; none of them can change it.

    Methods are called from any thread; they may block for a round trip to the store. Each may raise `Unreachable`.
    """

    @abstractmethod
    def starts(self, fingerprint: str) -> Collection[int]:
        """The starts of the panes that any partition has of a definition, in ms since 1970, in no order."""

    @abstractmethod
    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, CellPanes]:
        """Read panes of a definition, of every partition of the log.

        What a partition replies belongs together as follows: its panes have every event that its time has counted. So
        a window that is final by that time never changes again.
        """

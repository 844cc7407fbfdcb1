"""WindowQueries: the readers' side of windows."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import attrs

from realtime_pipeline.domain.analytics.pane_notes import BEFORE_ALL_TIME, NOTES_MS, TIME, Counted, Notes
from realtime_pipeline.domain.analytics.panes import Chunks, PaneId


@attrs.frozen
class CellNotes:
    """What one partition has noted of windows: of all together, and of each definition by its fingerprint."""

    counted: Counted
    definitions: Mapping[str, Notes]

    def counted_ms(self, fingerprint: str) -> int:
        """Up to when the partition has counted a definition; -1 where it has not begun."""
        return _counted_ms(self.counted.time_ms, self.definitions.get(fingerprint))

    @classmethod
    def of(cls, stored: Mapping[str, Chunks]) -> "CellNotes":
        """Make it of the chunks that are stored, by fingerprint."""
        found = {fingerprint: Notes.of(chunks) for fingerprint, chunks in stored.items()}
        definitions = {fingerprint: notes for fingerprint, notes in found.items() if notes is not None}
        return cls(Counted.of(stored.get(TIME.fingerprint, {})), definitions)


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
        return _counted_ms(self.time_ms, self.notes)

    @classmethod
    def of(cls, stored: Mapping[PaneId, Chunks], fingerprint: str) -> "CellPanes":
        """Make it of what is stored: the partition's time, the definition's notes, and its panes."""
        return cls(
            Counted.of(stored.get(TIME, {})).time_ms,
            Notes.of(stored.get(PaneId(fingerprint, NOTES_MS), {})),
            {id_.start_ms: chunks for id_, chunks in stored.items() if id_.start_ms != NOTES_MS and chunks},
        )


def _counted_ms(time_ms: int, notes: Notes | None) -> int:
    if notes is None:
        return BEFORE_ALL_TIME
    return time_ms if notes.stopped_ms is None else min(notes.stopped_ms, time_ms)


class WindowQueries(ABC):
    """Reads what partitions have counted in windows. Open to any number of processes; none of them can change it.

    Methods are called from any thread; they may block for a round trip to the store. Each may raise `Unreachable`.
    """

    @abstractmethod
    def notes(self, fingerprints: Collection[str]) -> Mapping[int, CellNotes]:
        """Read what every partition of the log has noted, of these definitions."""

    @abstractmethod
    def starts(self, fingerprint: str) -> Mapping[int, Collection[int]]:
        """The starts of the panes that every partition has of a definition, in ms since 1970, in no order."""

    @abstractmethod
    def read(self, fingerprint: str, starts_ms: Mapping[int, Collection[int]]) -> Mapping[int, CellPanes]:
        """Read panes of a definition, those of each partition by their starts.

        What a partition replies belongs together as follows. Its panes have every event that its time has counted: a
        window that is final by that time never changes again. And they are whole, but for those of windows that were
        final at the time up to which its notes say that panes were deleted.
        """

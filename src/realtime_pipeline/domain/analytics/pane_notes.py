"""What a partition notes of its windows, beside the panes: its time, and since when it counts a definition."""

from collections.abc import Mapping
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.measures.accumulator import Chunk
from realtime_pipeline.domain.analytics.panes import ChunkChanges, ChunkId, Chunks, PaneId

BEFORE_ALL_TIME: Final = -1
NOTES_MS: Final = -1
"""The start of what stands beside a definition's panes: its notes; of no definition, the partition's time."""
TIME: Final = PaneId("", NOTES_MS)
_TIME: Final = ChunkId(0, (), 0, "time_ms")
_NEWEST: Final = ChunkId(0, (), 0, "newest_ms")
_SINCE: Final = ChunkId(0, (), 0, "since_ms")
_FROM: Final = ChunkId(0, (), 0, "from_ms")
_STOPPED: Final = ChunkId(0, (), 0, "stopped_ms")
_UNTIL: Final = ChunkId(0, (), 0, "until_ms")
_LATE: Final = ChunkId(0, (), 0, "late")
_LATE_BY_TICKS: Final = ChunkId(0, (), 0, "late_by_ticks")
_PURGED: Final = ChunkId(0, (), 0, "purged_ms")
_NOTED: Final = (
    (_SINCE, BEFORE_ALL_TIME),
    (_FROM, BEFORE_ALL_TIME),
    (_UNTIL, BEFORE_ALL_TIME),
    (_LATE, 0),
    (_LATE_BY_TICKS, 0),
)
_RISEN: Final = ChunkId(0, (), 0, "risen_ms")
_QUIET: Final = ChunkId(0, (), 0, "quiet_ms")
_EVENTS: Final = ChunkId(0, (), 0, "events_ms")
_IMPORTED: Final = ChunkId(0, (), 0, "imported")
_NUMBER: Final = ChunkId(0, (), 0, "number")
_FINGERPRINTS: Final = ChunkId(0, (), 0, "fingerprints")


@attrs.define
class Notes:
    """What a partition notes of a definition.

    `since_ms` is the time since when it counts without a gap, -1 for the log's beginning. Before the gap it had counted
    from `from_ms` to `until_ms`; `until_ms` is -1 where there was nothing. `stopped_ms` is the partition's time when a
    worker without the definition went on; None while it is counted. `late` is how many events were late for all of
    their windows, `late_by_ticks` how many of them would not have been, had ticks not moved time. Panes of windows that
    were final at `purged_ms` may have been deleted; folds never write it.
    """

    since_ms: int = BEFORE_ALL_TIME
    from_ms: int = BEFORE_ALL_TIME
    until_ms: int = BEFORE_ALL_TIME
    late: int = 0
    late_by_ticks: int = 0
    stopped_ms: int | None = None
    purged_ms: int = BEFORE_ALL_TIME

    @classmethod
    def of(cls, chunks: Chunks) -> "Notes | None":
        """Read the notes; None where there are none."""
        if _SINCE not in chunks:
            return None
        stopped = chunks.get(_STOPPED)
        since_ms, from_ms, until_ms, late, by_ticks = (int(chunks.get(id_, default)) for id_, default in _NOTED)
        stopped_ms, purged_ms = None if stopped is None else int(stopped), int(chunks.get(_PURGED, BEFORE_ALL_TIME))
        return cls(since_ms, from_ms, until_ms, late, by_ticks, stopped_ms, purged_ms)

    def chunks(self) -> ChunkChanges:
        """Write the notes of a definition that is counted."""
        return {
            _SINCE: self.since_ms,
            _FROM: self.from_ms,
            _UNTIL: self.until_ms,
            _LATE: self.late,
            _LATE_BY_TICKS: self.late_by_ticks,
            _STOPPED: None,
        }

    def after_gap(self, until_ms: int, since_ms: int) -> "Notes":
        """The notes after a gap that began at one time and ended at another."""
        return Notes(since_ms, self.since_ms, until_ms, self.late, self.late_by_ticks)

    def is_partial(self, start_ms: int, final_ms: int) -> bool:
        """Whether the partition lacks events of a window that begins at a time and is final at another."""
        if self.stopped_ms is not None and final_ms > self.stopped_ms:
            return True
        return start_ms < self.since_ms and not (self.from_ms <= start_ms and final_ms <= self.until_ms)


def purged(purged_ms: int) -> Mapping[ChunkId, int]:
    """Write into the notes of a definition that panes of windows that were final at a time may have been deleted."""
    return {_PURGED: purged_ms}


def stopped(stopped_ms: int) -> ChunkChanges:
    """Write into the notes of a definition that it is no longer counted, since the partition's time was this."""
    return {_STOPPED: stopped_ms}


@attrs.frozen
class Counted:
    """What is stored at `TIME` of a partition, of all its definitions.

    `time_ms` is the partition's time, `newest_ms` the largest time by the events' own clocks, -1 where none is;
    `number` is that of the commit that counted last, and `fingerprints` those of the definitions that it counted.
    `risen_ms` is when the record was appended by which time rose last. `quiet_ms` is -1 where that was an event; where
    it was a tick, when the last such event was appended, 0 where none ever was. `events_ms` is what the time would be
    without ticks, None where that is the same. `imported` is what `ImportedTimes` keeps.
    """

    time_ms: int = BEFORE_ALL_TIME
    newest_ms: int = BEFORE_ALL_TIME
    number: int = 0
    fingerprints: frozenset[str] = frozenset()
    risen_ms: int = BEFORE_ALL_TIME
    quiet_ms: int = BEFORE_ALL_TIME
    events_ms: int | None = None
    imported: bytes = b""

    @property
    def is_live(self) -> bool:
        """Whether an event raised the partition's time last, and not a tick."""
        return self.time_ms >= 0 and self.quiet_ms < 0

    @property
    def event_ms(self) -> int:
        """When the last event that raised the partition's time was appended; -1 or 0 where none ever was."""
        return self.risen_ms if self.quiet_ms < 0 else self.quiet_ms

    @classmethod
    def of(cls, chunks: Chunks) -> "Counted":
        """Read it."""
        names, events, imported = chunks.get(_FINGERPRINTS, b""), chunks.get(_EVENTS), chunks.get(_IMPORTED, b"")
        return cls(
            int(chunks.get(_TIME, BEFORE_ALL_TIME)),
            int(chunks.get(_NEWEST, BEFORE_ALL_TIME)),
            int(chunks.get(_NUMBER, 0)),
            frozenset(names.decode().split() if isinstance(names, bytes) else ()),
            int(chunks.get(_RISEN, BEFORE_ALL_TIME)),
            int(chunks.get(_QUIET, BEFORE_ALL_TIME)),
            None if events is None else int(events),
            imported if isinstance(imported, bytes) else b"",
        )

    def chunks(self, before: "Counted") -> ChunkChanges:
        """Write what has changed since."""
        changes: dict[ChunkId, Chunk | None] = {_NUMBER: self.number}
        if self.time_ms != before.time_ms:
            changes[_TIME] = self.time_ms
        if self.newest_ms != before.newest_ms:
            changes[_NEWEST] = self.newest_ms
        if self.fingerprints != before.fingerprints:
            changes[_FINGERPRINTS] = " ".join(sorted(self.fingerprints)).encode()
        if self.risen_ms != before.risen_ms:
            changes[_RISEN] = self.risen_ms
        if self.quiet_ms != before.quiet_ms:
            changes[_QUIET] = self.quiet_ms
        if self.events_ms != before.events_ms:
            changes[_EVENTS] = self.events_ms
        if self.imported != before.imported:
            changes[_IMPORTED] = self.imported
        return changes

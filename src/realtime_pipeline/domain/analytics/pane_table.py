"""The panes of one partition while its records are folded: which windows an event is counted in, and which are late."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.panes import ChunkChanges, ChunkId, Chunks, Pane, PaneId
from realtime_pipeline.domain.shop.events import CUSTOM, Event, EventKind

BEFORE_ALL_TIME: Final = -1
NOTES_MS: Final = -1
"""The start of what stands beside a definition's panes: its notes; of no definition, the partition's time."""
TIME: Final = PaneId("", NOTES_MS)
_TIME: Final = ChunkId(0, (), 0, "time_ms")
_NEWEST: Final = ChunkId(0, (), 0, "newest_ms")
_SINCE: Final = ChunkId(0, (), 0, "since_ms")
_LATE: Final = ChunkId(0, (), 0, "late")
_GRANULE_MAX_MS: Final = 60_000
KEYS_IN_MEMORY_MAX: Final = 100_000


@attrs.define
class Notes:
    """What a partition notes of a definition.

    `since_ms` is the partition's time when counting began, -1 where that was at the log's beginning; windows that begin
    before it are partial. `late` is how many events were late for all of their windows.
    """

    since_ms: int = BEFORE_ALL_TIME
    late: int = 0

    @classmethod
    def of(cls, chunks: Chunks) -> "Notes | None":
        """Read the notes; None where there are none."""
        if _SINCE not in chunks:
            return None
        return cls(int(chunks[_SINCE]), int(chunks.get(_LATE, 0)))

    def chunks(self) -> Chunks:
        """Write the notes."""
        return {_SINCE: self.since_ms, _LATE: self.late}


def times_of(chunks: Chunks) -> tuple[int, int]:
    """The partition's time, and the largest time by the events' own clocks, as stored at `TIME`; -1 where none is."""
    return int(chunks.get(_TIME, BEFORE_ALL_TIME)), int(chunks.get(_NEWEST, BEFORE_ALL_TIME))


class _Counted:
    """A definition with the panes of it that are in memory, by their start, and the partition's notes."""

    __slots__ = ("changed", "compiled", "notes", "notes_changed", "panes")

    def __init__(self, compiled: CompiledAggregate) -> None:
        self.compiled = compiled
        self.panes: dict[int, Pane] = {}
        self.notes = Notes()
        self.notes_changed = False
        self.changed: set[int] = set()

    def count(self, event: Event, time_ms: int) -> None:
        """Count an event in every window that it is in and that is open at the partition's time."""
        compiled = self.compiled
        if not compiled.counts(event):
            return
        start_ms = compiled.cut.pane_of(event.occurred_at_ms)
        pane = self.panes.get(start_ms)  # None where all its windows were final when the records were loaded
        first_ms = None if pane is None else pane.first_open(time_ms - compiled.allowed_ms)
        if pane is None or first_ms is None:
            self.notes.late += 1
            self.notes_changed = True
            return
        pane.add(first_ms, compiled.key_of(event), event)
        self.changed.add(start_ms)

    def is_open(self, start_ms: int, time_ms: int) -> bool:
        """Whether a window of the pane that begins there still counts events."""
        return self.compiled.cut.first_open(start_ms, time_ms - self.compiled.allowed_ms) is not None


class PaneTable:
    """The panes of a partition that are in memory. The owner of the partition loads panes before it folds records.

    `time_ms` is the partition's time: the largest time of its events, each counted at most as the time at which it was
    appended. An event is judged by the time before it: a window whose end is more than the bound and the lateness
    behind that time counts it no more. `newest_ms` is the largest time of its events by their own clocks: no pane that
    begins later is stored.
    """

    def __init__(self, definitions: Sequence[WindowedAggregate]) -> None:
        self._counted = {compiled.fingerprint: _Counted(compiled) for compiled in map(CompiledAggregate, definitions)}
        self._of_kind: dict[EventKind, tuple[_Counted, ...]] = {}
        granules = (found.compiled.cut.granule_ms() for found in self._counted.values())
        self._granule_ms = min([_GRANULE_MAX_MS, *granules])
        self._has_begun = False
        self.time_ms = self._newest_ms = BEFORE_ALL_TIME
        self._stored = (BEFORE_ALL_TIME, BEFORE_ALL_TIME)

    def wanted(self, times_ms: Iterable[int]) -> list[PaneId]:
        """The panes to load before events of these times are folded; those in memory are not among them.

        Panes of which no window is open any more are left out: the partition's time never goes back. Panes that cannot
        be stored yet begin empty.
        """
        wanted = [] if self._has_begun else [TIME, *(PaneId(found, NOTES_MS) for found in self._counted)]
        size_ms = self._granule_ms
        granules = {at_ms // size_ms for at_ms in times_ms}
        edges_ms = [at_ms for granule in granules for at_ms in (granule * size_ms, (granule + 1) * size_ms - 1)]
        for fingerprint, counted in self._counted.items():
            for start_ms in set(map(counted.compiled.cut.pane_of, edges_ms)) - counted.panes.keys():
                if self._has_begun and start_ms > self._newest_ms:
                    counted.panes[start_ms] = Pane(counted.compiled, start_ms)
                elif counted.is_open(start_ms, self.time_ms):
                    wanted.append(PaneId(fingerprint, start_ms))
        return wanted

    def load(self, found: Mapping[PaneId, Chunks], largest_ms: int) -> None:
        """Take over panes from the store, where they may be empty.

        Args:
            found: the panes asked for.
            largest_ms: the largest time of events that the partition's watermark knows; counting begins there, where
                the store has no notes.
        """
        if TIME in found:
            self._stored = times_of(found[TIME])
            self.time_ms, self._newest_ms = max(self._stored[0], largest_ms), self._stored[1]
            for fingerprint, counted in self._counted.items():
                notes = Notes.of(found[PaneId(fingerprint, NOTES_MS)])
                counted.notes_changed = notes is None
                counted.notes = notes or Notes(self.time_ms)
            self._has_begun = True
        for pane_id, chunks in found.items():
            if pane_id.start_ms != NOTES_MS:
                counted = self._counted[pane_id.fingerprint]
                pane = counted.panes[pane_id.start_ms] = Pane(counted.compiled, pane_id.start_ms)
                pane.load(chunks)

    def count(self, event: Event) -> None:
        """Count an event in every window that it is in and that is open."""
        kind = event.kind
        of_kind = self._of_kind.get(kind)
        if of_kind is None:
            of_kind = self._of_kind[kind] = self._for(kind)
        time_ms = self.time_ms
        for counted in of_kind:
            counted.count(event, time_ms)

    def advance(self, at_ms: int, appended_at_ms: int) -> None:
        """Move the partition's time on by an event."""
        self._newest_ms = max(self._newest_ms, at_ms)
        at_ms = min(at_ms, appended_at_ms)
        self.time_ms = max(self.time_ms, at_ms)

    def changes(self) -> dict[PaneId, ChunkChanges]:
        """What has changed since the last call, to be committed."""
        changes: dict[PaneId, ChunkChanges] = {}
        for fingerprint, counted in self._counted.items():
            for start_ms in counted.changed:
                found = counted.panes[start_ms].changes()
                if found:
                    changes[PaneId(fingerprint, start_ms)] = found
            counted.changed.clear()
            if counted.notes_changed:
                changes[PaneId(fingerprint, NOTES_MS)] = counted.notes.chunks()
                counted.notes_changed = False
        times = self.time_ms, self._newest_ms
        if times != self._stored:
            self._stored = times
            changes[TIME] = {_TIME: times[0], _NEWEST: times[1]}
        return changes

    def evict(self, keys_max: int = KEYS_IN_MEMORY_MAX) -> None:
        """Remove panes from memory: those that no event can change, and all where there are more than so many keys.

        Nothing of them may be uncommitted.
        """
        keys = 0
        for counted in self._counted.values():
            closed = [start_ms for start_ms in counted.panes if not counted.is_open(start_ms, self.time_ms)]
            for start_ms in closed:
                del counted.panes[start_ms]
            keys += sum(pane.size for pane in counted.panes.values())
        if keys > keys_max:
            for counted in self._counted.values():
                counted.panes.clear()

    def _for(self, kind: EventKind) -> tuple[_Counted, ...]:
        name = kind.removeprefix(CUSTOM)
        types = ((found, found.compiled.types) for found in self._counted.values())
        return tuple(found for found, of_found in types if of_found is None or name in of_found)

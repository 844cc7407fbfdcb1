"""The panes of one partition while its records are folded: which windows an event is counted in, and which are late."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.imported_times import ImportedTimes
from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.analytics.pane_notes import BEFORE_ALL_TIME, NOTES_MS, TIME, Counted, Notes, stopped
from realtime_pipeline.domain.analytics.panes import ChunkChanges, Chunks, Pane, PaneId
from realtime_pipeline.domain.shop.events import CUSTOM, Event, EventKind
from realtime_pipeline.domain.shop.times import END_OF_TIME

_GRANULE_MAX_MS: Final = 60_000
KEYS_IN_MEMORY_MAX: Final = 100_000


class _Panes:
    """A definition with the panes of it that are in memory, by their start, and the partition's notes. `missed` is the
    table's list of what the event at hand has missed."""

    __slots__ = ("changed", "compiled", "missed", "notes", "notes_changed", "panes")

    def __init__(self, compiled: CompiledAggregate, missed: list[MissedWindows]) -> None:
        self.compiled = compiled
        self.missed = missed
        self.panes: dict[int, Pane] = {}
        self.notes = Notes()
        self.notes_changed = False
        self.changed: set[int] = set()

    def count(self, event: Event, time_ms: int, events_ms: int) -> None:
        """Count an event in every window that it is in and that is open at the partition's time, which would be
        `events_ms` without ticks."""
        compiled = self.compiled
        if not compiled.counts(event):
            return
        start_ms = compiled.cut.pane_of(event.occurred_at_ms)
        pane = self.panes.get(start_ms)  # None where all its windows were final when the records were loaded
        first_ms = None if pane is None else pane.first_open(time_ms - compiled.allowed_ms)
        if pane is None or first_ms is None:
            self.notes.late += 1
            self.notes.late_by_ticks += self.is_open(start_ms, events_ms)
            self.notes_changed = True
            self.missed.append(MissedWindows(compiled.definition.name, len(compiled.cut.windows_of(start_ms))))
            return
        pane.add(first_ms, compiled.key_of(event), event)
        self.changed.add(start_ms)

    def is_open(self, start_ms: int, time_ms: int) -> bool:
        """Whether a window of the pane that begins there still counts events."""
        return self.compiled.cut.first_open(start_ms, time_ms - self.compiled.allowed_ms) is not None


class PaneTable:
    """The panes of a partition that are in memory. The owner of the partition loads panes before it folds records.

    `time_ms` is the partition's time: the largest time of its events, each counted at most as the time at which it was
    appended, but for imported ones (`ImportedTimes`); ticks move it on, too. An event is judged by the time before it:
    a window whose end is more than the bound and the lateness behind that time counts it no more. No pane is stored
    that begins later than the newest event by the events' own clocks.
    """

    def __init__(self, definitions: Sequence[WindowedAggregate]) -> None:
        self._missed: list[MissedWindows] = []
        compiled = map(CompiledAggregate, definitions)
        self._counted = {found.fingerprint: _Panes(found, self._missed) for found in compiled}
        self._of_kind: dict[EventKind, tuple[_Panes, ...]] = {}
        granules = (found.compiled.cut.granule_ms() for found in self._counted.values())
        self._granule_ms = min([_GRANULE_MAX_MS, *granules])
        self._has_begun = False
        self.time_ms = self._newest_ms = self._events_ms = BEFORE_ALL_TIME
        self._risen_ms = self._quiet_ms = BEFORE_ALL_TIME
        self._imported: ImportedTimes | None = None
        self._stored = Counted()
        self._number = 0
        self._stopped: dict[str, int] = {}  # when other definitions were counted last, whose notes are to say so

    def wanted(self, events: Iterable[Event]) -> list[PaneId]:
        """The panes to load before events are folded; those in memory are not among them.

        Panes of which no window is open any more are left out: the partition's time never goes back. Panes that cannot
        be stored yet begin empty.
        """
        wanted = [] if self._has_begun else [TIME, *(PaneId(found, NOTES_MS) for found in self._counted)]
        size_ms = self._granule_ms
        granules: dict[EventKind, set[int]] = {}
        for event in events:
            if self._counting(event.kind):
                granules.setdefault(event.kind, set()).add(event.occurred_at_ms // size_ms)
        for fingerprint, counted in self._counted.items():
            own = {granule for kind, found in granules.items() if counted in self._of_kind[kind] for granule in found}
            edges_ms = [at_ms for granule in own for at_ms in (granule * size_ms, (granule + 1) * size_ms - 1)]
            for start_ms in set(map(counted.compiled.cut.pane_of, edges_ms)) - counted.panes.keys():
                if self._has_begun and start_ms > self._newest_ms:
                    counted.panes[start_ms] = Pane(counted.compiled, start_ms)
                elif counted.is_open(start_ms, self.time_ms):
                    wanted.append(PaneId(fingerprint, start_ms))
        return wanted

    def _counting(self, kind: EventKind) -> tuple[_Panes, ...]:
        """The definitions that may count events of a kind."""
        found = self._of_kind.get(kind)
        if found is None:
            found = self._of_kind[kind] = self._for(kind)
        return found

    def load(self, found: Mapping[PaneId, Chunks], number: int, largest_ms: int, ahead_ms: int, begins_ms: int) -> None:
        """Take over panes from the store, where they may be empty.

        Args:
            found: the panes asked for.
            number: the number of the partition's last commit.
            largest_ms: the largest time of events that the partition's watermark knows.
            ahead_ms: how far ahead of that events may be.
            begins_ms: where the log no longer has its beginning, when its first record was appended; else -1.
        """
        if TIME in found:
            self._begin(found, number, largest_ms, ahead_ms, begins_ms)
        for pane_id, chunks in found.items():
            if pane_id.start_ms != NOTES_MS:
                counted = self._counted[pane_id.fingerprint]
                pane = counted.panes[pane_id.start_ms] = Pane(counted.compiled, pane_id.start_ms)
                pane.load(chunks)

    def _begin(
        self, found: Mapping[PaneId, Chunks], number: int, largest_ms: int, ahead_ms: int, begins_ms: int
    ) -> None:
        """Go on where the last commit ended. Where that did not count a definition, its counting begins again: another
        worker had other definitions, or none."""
        stored = self._stored = Counted.of(found[TIME])
        is_next = stored.number == number
        counted_ms = stored.time_ms if is_next else max(stored.time_ms, largest_ms)
        self.time_ms, self._newest_ms = counted_ms, max(stored.newest_ms, stored.time_ms)
        self._events_ms = counted_ms if stored.events_ms is None else stored.events_ms
        self._risen_ms, self._quiet_ms = stored.risen_ms, stored.quiet_ms
        self._imported = ImportedTimes(stored.imported) if stored.imported else None
        self._number = number
        # What was not counted may be ahead of the partition's time; how far is known of commits that counted.
        since_ms = self._newest_ms if is_next or self.time_ms < 0 else self.time_ms + ahead_ms
        since_ms = max(since_ms, self.time_ms, begins_ms)
        for fingerprint, counted in self._counted.items():
            notes = Notes.of(found[PaneId(fingerprint, NOTES_MS)])
            counted.notes_changed = notes is None or notes.stopped_ms is not None or not is_next
            if notes is None:
                notes = Notes(since_ms)
            elif notes.stopped_ms is not None:
                notes = notes.after_gap(notes.stopped_ms, since_ms)
            elif not is_next:
                notes = notes.after_gap(stored.time_ms, since_ms)
            counted.notes = notes
        self._stopped = dict.fromkeys(stored.fingerprints - self._counted.keys(), stored.time_ms)
        self._has_begun = True

    def count(self, event: Event) -> Sequence[MissedWindows]:
        """Count an event in every window that it is in and that is open; return the definitions that it is late for."""
        of_kind = self._of_kind.get(event.kind)
        if of_kind is None:
            of_kind = self._counting(event.kind)
        if not of_kind:
            return ()
        time_ms, events_ms = self.time_ms, self._events_ms
        for counted in of_kind:
            counted.count(event, time_ms, events_ms)
        if not self._missed:
            return ()
        missed = sorted(self._missed)
        self._missed.clear()
        return missed

    def advance(self, at_ms: int, appended_at_ms: int, is_imported: bool = False) -> None:
        """Move the partition's time on by an event; by an imported one, as far as another one has been."""
        if at_ms > self._newest_ms:  # noqa: PLR1730 - it runs for every event, and `max` takes three times as long
            self._newest_ms = at_ms
        if at_ms > appended_at_ms:  # noqa: PLR1730
            at_ms = appended_at_ms
        if is_imported:
            if self._imported is None:
                self._imported = ImportedTimes()
            second_ms = self._imported.add(at_ms)
            at_ms = BEFORE_ALL_TIME if second_ms is None else second_ms
        if at_ms > self._events_ms:
            self._events_ms = at_ms
            if at_ms > self.time_ms:
                self.time_ms = at_ms
                self._risen_ms, self._quiet_ms = max(self._risen_ms, appended_at_ms), BEFORE_ALL_TIME

    def tick(self, appended_at_ms: int, elapsed_ms: int, floor_ms: int | None) -> None:
        """Move the partition's time on by a tick.

        Args:
            appended_at_ms: when the tick was appended.
            elapsed_ms: how long before that time had risen, by the owner's clock; no more counts than has passed by the
                log's clock.
            floor_ms: where time is lifted to; None for nowhere.
        """
        at_ms = self.time_ms
        if BEFORE_ALL_TIME not in (at_ms, self._risen_ms):
            at_ms += max(0, min(elapsed_ms, appended_at_ms - self._risen_ms))
        if floor_ms is not None:
            at_ms = max(at_ms, floor_ms)
        if at_ms > self.time_ms:
            if self._quiet_ms < 0:
                self._quiet_ms = max(self._risen_ms, 0)
            self.time_ms, self._risen_ms = min(at_ms, END_OF_TIME), max(self._risen_ms, appended_at_ms)

    @property
    def counted(self) -> Counted:
        """What is to be stored of all definitions."""
        return Counted(
            self.time_ms,
            self._newest_ms,
            self._number,
            frozenset(self._counted),
            self._risen_ms,
            self._quiet_ms,
            None if self._events_ms == self.time_ms else self._events_ms,
            b"" if self._imported is None else self._imported.chunk(),
        )

    def changes(self) -> dict[PaneId, ChunkChanges]:
        """What has changed since the last call, for the next commit."""
        self._number += 1
        changes: dict[PaneId, ChunkChanges] = {}
        for fingerprint, stopped_ms in self._stopped.items():
            changes[PaneId(fingerprint, NOTES_MS)] = stopped(stopped_ms)
        self._stopped = {}
        for fingerprint, counted in self._counted.items():
            for start_ms in counted.changed:
                found = counted.panes[start_ms].changes()
                if found:
                    changes[PaneId(fingerprint, start_ms)] = found
            counted.changed.clear()
            if counted.notes_changed:
                changes[PaneId(fingerprint, NOTES_MS)] = counted.notes.chunks()
                counted.notes_changed = False
        stored = self.counted
        changes[TIME] = stored.chunks(self._stored)
        self._stored = stored
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

    def _for(self, kind: EventKind) -> tuple[_Panes, ...]:
        name = kind.removeprefix(CUSTOM)
        types = ((found, found.compiled.types) for found in self._counted.values())
        return tuple(found for found, of_found in types if of_found is None or name in of_found)

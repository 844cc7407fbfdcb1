"""WriteTicks: let time pass on quiet partitions, so that they do not hold windows open."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.decoding import EncodeTick
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.window_queries import CellNotes, WindowQueries
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.application.processing.settings import WindowUpkeepSettings
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.analytics.pane_notes import BEFORE_ALL_TIME
from realtime_pipeline.domain.streams.records import Tick


class WriteTicks:
    """Appends a tick to each owned partition that is quiet and holds windows open.

    A partition is quiet when nothing has raised its time for `idle_ms`. It is sent a tick where that makes a window
    close or become final; and where another partition has passed that time, so that the partition counts as quiet from
    then on. A tick says how long the partition has been quiet, and its floor: the lowest time of the partitions that
    events have raised last; for a partition without events, of all that have a time. Where no event has raised any
    partition for `silence_ms`, no ticks are written: producers may be down, and what they have buffered is not late.
    """

    def __init__(
        self,
        queries: WindowQueries,
        publisher: Callable[[], EventPublisher],
        encode_tick: EncodeTick,
        definitions: Sequence[CompiledAggregate],
        settings: WindowUpkeepSettings,
        clock: Clock,
    ) -> None:
        self._queries = queries
        self._publisher = publisher
        self._encode_tick = encode_tick
        self._definitions = definitions
        self._settings = settings
        self._clock = clock
        self._risen: dict[int, tuple[int, int]] = {}  # each partition's time, and since when by the monotonic clock
        self._written: dict[int, int] = {}  # when the last tick was written to a partition

    def __call__(self, owned: Mapping[int, OwnedCell], notes: Mapping[int, CellNotes]) -> bool:
        """Append the ticks that are due; return whether there were any. Called once a second.

        Args:
            owned: the cells that this worker owns.
            notes: what all partitions have noted.

        Raises:
            Unreachable: the store does not respond.
        """
        if self._is_silent(notes):
            self._risen.clear()  # the time of a silence is never said to have passed: what was buffered is on its way
            return False
        now_ms = self._clock.monotonic_ms()
        quiet = self._quiet(owned.keys(), notes, now_ms)
        newest_ms = max((found.counted.newest_ms for found in notes.values()), default=BEFORE_ALL_TIME)
        held = {partition for partition in quiet if self._may_hold(notes[partition].counted.time_ms, newest_ms)}
        if not held:
            return False
        panes = [
            (compiled, {start for starts in self._queries.starts(compiled.fingerprint).values() for start in starts})
            for compiled in self._definitions
        ]
        outgoing = []
        for partition in held:
            time_ms = notes[partition].counted.time_ms
            due = [compiled.next_due_ms(starts, time_ms) for compiled, starts in panes]
            due_ms = min((at_ms for at_ms in due if at_ms is not None), default=None)
            if due_ms is not None and self._is_due(partition, due_ms, quiet[partition], notes):
                seen_ms = owned[partition].watermark.appended_at_ms
                tick = Tick(quiet[partition], seen_ms, floor_ms(partition, notes))
                outgoing.append(self._encode_tick(tick, partition))
                self._written[partition] = now_ms
        if outgoing:
            with suppress(Unavailable):  # the next second tries again
                self._publisher().publish(outgoing)
        return bool(outgoing)

    def _quiet(self, owned: Collection[int], notes: Mapping[int, CellNotes], now_ms: int) -> dict[int, int]:
        """For how long the time of quiet partitions has not risen, in ms."""
        self._risen = {partition: risen for partition, risen in self._risen.items() if partition in owned}
        for partition in owned:
            time_ms = notes[partition].counted.time_ms
            if self._risen.get(partition, (None,))[0] != time_ms:
                self._risen[partition] = time_ms, now_ms
                self._written.pop(partition, None)
        idle_ms = self._settings.idle_ms
        return {
            partition: now_ms - since_ms
            for partition, (_, since_ms) in self._risen.items()
            if now_ms - since_ms >= idle_ms and now_ms - self._written.get(partition, since_ms) >= idle_ms
        }

    def _may_hold(self, time_ms: int, newest_ms: int) -> bool:
        """Whether windows with events, which begin no later than the newest event, may be open at a time."""
        return newest_ms >= 0 and any(
            compiled.last_final_ms(compiled.cut.pane_of(newest_ms)) > time_ms for compiled in self._definitions
        )

    def _is_silent(self, notes: Mapping[int, CellNotes]) -> bool:
        newest_ms = max(found.counted.event_ms for found in notes.values())
        return newest_ms <= 0 or self._clock.now_ms() - newest_ms > self._settings.silence_ms

    @staticmethod
    def _is_due(partition: int, due_ms: int, elapsed_ms: int, notes: Mapping[int, CellNotes]) -> bool:
        counted = notes[partition].counted
        floor = floor_ms(partition, notes)
        reached_ms = counted.time_ms + elapsed_ms if counted.time_ms >= 0 else BEFORE_ALL_TIME
        if max(reached_ms, BEFORE_ALL_TIME if floor is None else floor) >= due_ms:
            return True
        return counted.is_live and any(found.counted.time_ms >= due_ms for found in notes.values())


def floor_ms(partition: int, notes: Mapping[int, CellNotes]) -> int | None:
    """The floor of a tick for a partition; None where there is none."""
    has_begun = notes[partition].counted.time_ms >= 0
    times = [
        found.counted.time_ms
        for found in notes.values()
        if found.counted.time_ms >= 0 and (found.counted.is_live or not has_begun)
    ]
    return min(times, default=None)

"""CloseWindows: end a finite replay, after which no events come that any window should still wait for."""

from collections.abc import Callable, Sequence
from typing import Final

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.decoding import EncodeTick
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.processing.process_events import ProcessEvents
from realtime_pipeline.application.processing.worker import Worker
from realtime_pipeline.domain.analytics.compiled import CompiledAggregate
from realtime_pipeline.domain.streams.records import Tick

ATTEMPTS_MAX: Final = 5


class CloseWindows:
    """Makes every window final that has an event: by a tick that lifts each partition to the end of the last of them.

    Time does not end there: events that come later count in the windows after those.
    """

    def __init__(
        self,
        worker: Worker,
        process_events: ProcessEvents,
        queries: Callable[[], WindowQueries],
        publisher: Callable[[], EventPublisher],
        encode_tick: EncodeTick,
        definitions: Sequence[CompiledAggregate],
    ) -> None:
        self._worker = worker
        self._process_events = process_events
        self._queries = queries
        self._publisher = publisher
        self._encode_tick = encode_tick
        self._definitions = definitions

    def __call__(self) -> None:
        """Process all that is published, close the windows, and write their results.

        Raises:
            UnrecoverableState: other workers own partitions; or events kept coming. Or as `Worker.catch_up`.
            Unavailable: the log or the store does not respond.
        """
        for _ in range(ATTEMPTS_MAX):
            self._worker.catch_up()
            behind = self._behind() if self._definitions else {}
            if not behind:
                return
            self._publisher().publish(
                [self._encode_tick(tick, partition) for partition, tick in self._ticks(behind).items()]
            )
        raise UnrecoverableState("events kept coming while windows were to be closed: end what publishes them first")

    def _behind(self) -> dict[int, int]:
        """The partitions whose time is before the end of the last window, and that end."""
        notes = self._queries().notes([compiled.fingerprint for compiled in self._definitions])
        newest_ms = max((found.counted.newest_ms for found in notes.values()), default=-1)
        if newest_ms < 0:
            return {}
        ends = [compiled.last_final_ms(compiled.cut.pane_of(newest_ms)) for compiled in self._definitions]
        end_ms = max(ends)
        return {partition: end_ms for partition, found in notes.items() if found.counted.time_ms < end_ms}

    def _ticks(self, behind: dict[int, int]) -> dict[int, Tick]:
        cells = self._process_events.ownership.cells
        others = behind.keys() - cells.keys()
        if others:
            raise UnrecoverableState(f"other workers own partitions ({min(others)}): end them, then close the windows")
        return {
            partition: Tick(0, cells[partition].watermark.appended_at_ms, end_ms)
            for partition, end_ms in behind.items()
        }
